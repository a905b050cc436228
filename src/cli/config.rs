//! `config check|show|schema`: what they print, and their exit codes. Nothing is contacted.

use super::output::Format;
use crate::config::{self, Errors, Files, Loaded, Problem};
use serde::Serialize;

/// The exit code for a config that is wrong.
pub const BAD_CONFIG: u8 = 2;

/// What a command prints and how it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// For standard output.
    pub stdout: String,
    /// For standard error.
    pub stderr: String,
    /// The exit code: 0, or [`BAD_CONFIG`].
    pub code: u8,
}

impl Output {
    fn good(stdout: String) -> Self {
        Self { stdout, stderr: String::new(), code: 0 }
    }

    fn bad(errors: &Errors) -> Self {
        let count = errors.0.len();
        let plural = if count == 1 { "" } else { "s" };
        Self { stdout: String::new(), stderr: format!("{errors}\n{count} error{plural}\n"), code: BAD_CONFIG }
    }
}

/// What a check found, for scripts.
#[derive(Serialize)]
struct Checked<'a> {
    ok: bool,
    errors: &'a [Problem],
}

/// Checks an environment: a line for each layer and the totals, or every fault.
#[must_use]
pub fn check(files: &Files, variables: impl IntoIterator<Item = (String, String)>) -> Output {
    match config::load(files, variables) {
        Ok(loaded) => Output::good(summary(&loaded)),
        Err(errors) => Output::bad(&errors),
    }
}

/// The same for scripts: one object on standard output, whatever was found.
///
/// # Errors
/// None that are known: names and texts can be written in both formats.
pub(super) fn check_for_scripts(
    files: &Files,
    variables: impl IntoIterator<Item = (String, String)>,
    format: Format,
) -> anyhow::Result<Output> {
    let loaded = config::load(files, variables);
    let errors = loaded.as_ref().err().map_or(&[][..], |errors| &errors.0);
    let checked = Checked { ok: errors.is_empty(), errors };
    let stdout =
        if format == Format::Yaml { serde_yaml::to_string(&checked)? } else { serde_json::to_string(&checked)? + "\n" };
    Ok(Output { stdout, stderr: String::new(), code: if checked.ok { 0 } else { BAD_CONFIG } })
}

fn summary(loaded: &Loaded) -> String {
    let groups = loaded.config.groups.len();
    let clusters: usize = loaded.config.groups.values().map(|group| group.clusters.len()).sum();
    let mut text: String = loaded.layers.iter().map(|layer| format!("{layer}: ok\n")).collect();
    let stores: usize = loaded.config.groups.values().map(|group| group.stores.len()).sum();
    let stores = if stores == 0 { String::new() } else { format!(", {}", counted(stores, "store")) };
    text.push_str(&format!("ok: {}, {}{stores}\n", counted(groups, "group"), counted(clusters, "cluster")));
    text
}

fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Prints the merged environment as YAML, each value with the place it came from, secrets hidden; or every fault.
#[must_use]
pub fn show(files: &Files, variables: impl IntoIterator<Item = (String, String)>) -> Output {
    match config::load(files, variables) {
        Ok(loaded) => Output::good(loaded.view.to_string()),
        Err(errors) => Output::bad(&errors),
    }
}

/// Prints the JSON Schema of a config file, the same text as the repository's `config/schema.json`.
#[must_use]
pub fn schema() -> Output {
    Output::good(config::json_schema())
}
