//! Whom the daemon tells of windows and restore points.

use super::names;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Whom the daemon tells of windows and restore points.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping such as {webhooks: {NAME: {url: …, secret_file: …}}}")]
pub struct Notifications {
    /// The webhooks by name: lower-case letters, digits and dashes, at most 63.
    #[serde(default)]
    #[schemars(schema_with = "names::<Webhook>")]
    pub webhooks: Option<BTreeMap<String, Option<Webhook>>>,
}

/// A receiver of CloudEvents over HTTP, signed as Standard Webhooks says.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as {url: \"https://hooks.example/stillpoint\", secret_file: /run/secrets/webhook}"
)]
pub struct Webhook {
    /// Where events are posted to, http:// or https://, without credentials in it.
    pub url: Option<String>,
    /// The absolute path of a file with the secret that signs: `whsec_` and 24 to 64 bytes in base64. Several lines, several signatures.
    pub secret_file: Option<String>,
    /// In place of `secret_file`: the name of the daemon's environment variable that holds the secret.
    pub secret_env: Option<String>,
    /// The certificates to trust, PEM, an absolute path; without it, the system's.
    pub ca_file: Option<String>,
    /// The groups whose events are told; without it, all.
    pub groups: Option<Vec<String>>,
    /// Globs over the events' types without `io.stillpoint.`, such as `window.*`; without it, all.
    pub types: Option<Vec<String>>,
}
