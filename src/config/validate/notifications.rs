//! Whom the daemon tells of windows and restore points.

use super::super::error::Wrong;
use super::super::path::KeyPath;
use super::super::{Secret, Url, Webhook, error, raw};
use super::{Check, other_name};
use crate::domain::Notice;
use hyper::Uri;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use wildmatch::WildMatch;

const URL: &str = "http:// or https:// and a host, such as https://hooks.example/stillpoint";
/// What every type begins with, and no pattern has to.
const PREFIX: &str = "io.stillpoint.";

pub fn webhooks(check: &mut Check<'_>, raw: raw::Notifications, groups: &[String]) -> BTreeMap<String, Webhook> {
    let path = KeyPath::root("notifications").key("webhooks");
    let mut webhooks = BTreeMap::new();
    for (name, raw) in raw.webhooks.unwrap_or_default() {
        let path = path.key(&name);
        check.name(&path, &name);
        let Some(raw) = check.something(&path, raw) else { continue };
        if let Some(webhook) = webhook(check, &path, &name, raw, groups) {
            webhooks.insert(name, webhook);
        }
    }
    webhooks
}

fn webhook(check: &mut Check<'_>, path: &KeyPath, name: &str, raw: raw::Webhook, groups: &[String]) -> Option<Webhook> {
    let address = match &raw.url {
        Some(text) => check.take(&path.key("url"), url(text)),
        None => {
            check.missing(path, "url", URL);
            None
        }
    };
    let secret = secret(check, path, raw.secret_file, raw.secret_env);
    if let Some(text) = &raw.ca_file {
        check.absolute(&path.key("ca_file"), text);
    }
    let types = types(check, &path.key("types"), raw.types.as_deref());
    let groups = raw.groups.map(|listed| listed_groups(check, &path.key("groups"), listed, groups));
    let ca_file = raw.ca_file.map(PathBuf::from);
    Some(Webhook { name: name.to_owned(), url: address?, secret: secret?, ca_file, groups, types })
}

/// Reads a URL that something is sent to. The text may hold what is as good as a password: it is never repeated.
pub fn url(text: &str) -> Result<Url, Wrong> {
    let wrong = |what: &str| Wrong::new(what).expected(URL);
    let Ok(uri) = text.parse::<Uri>() else { return Err(wrong("this is no URL")) };
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong("the URL does not begin with http:// or https://"));
    }
    match uri.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            Err(wrong("the URL holds credentials, which are never written in YAML"))
        }
        // A port that is none is left out by the parser.
        Some(authority)
            if !authority.host().is_empty()
                && authority.port().map_or(authority.as_str() == authority.host(), |port| port.as_u16() > 0) =>
        {
            Ok(Url(uri))
        }
        _ => Err(wrong("the URL has no host, or no port that there is")),
    }
}

fn secret(check: &mut Check<'_>, path: &KeyPath, file: Option<String>, variable: Option<String>) -> Option<Secret> {
    const EXPECTED: &str = "secret_file, the absolute path of a file that holds it, or secret_env, a variable's name";
    // What stands here by mistake may be the secret itself: it is not repeated.
    let written_out = |text: &str| text.starts_with("whsec_");
    match (file, variable) {
        (Some(text), None) if written_out(&text) || !text.starts_with('/') || text.ends_with('/') => {
            let wrong = Wrong::new("this is not the absolute path of a file");
            check.fault(&path.key("secret_file"), wrong.expected(EXPECTED));
            None
        }
        (Some(text), None) => Some(Secret::File(PathBuf::from(text))),
        (None, Some(text)) => {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if written_out(&text) || text.is_empty() || !text.chars().all(fits) || text.starts_with(char::is_numeric) {
                let wrong = Wrong::new("this is not the name of an environment variable");
                check.fault(&path.key("secret_env"), wrong.expected(EXPECTED));
                return None;
            }
            Some(Secret::Variable(text))
        }
        (None, None) => {
            check.missing(path, "the secret that signs", EXPECTED);
            None
        }
        (Some(_), Some(_)) => {
            let wrong = Wrong::new("secret_file and secret_env both stand here");
            check.fault(path, wrong.expected("one of them"));
            None
        }
    }
}

fn types(check: &mut Check<'_>, path: &KeyPath, patterns: Option<&[String]>) -> BTreeSet<Notice> {
    let Some(patterns) = patterns else { return Notice::ALL.iter().copied().collect() };
    let names = || Notice::ALL.iter().map(|notice| notice.name());
    if patterns.is_empty() {
        check.fault(path, Wrong::new("no type is listed").expected("at least one, or no types: all are told"));
    }
    let mut types = BTreeSet::new();
    for (index, pattern) in patterns.iter().enumerate() {
        let glob = WildMatch::new(pattern.strip_prefix(PREFIX).unwrap_or(pattern));
        let matching: Vec<Notice> = Notice::ALL.iter().copied().filter(|notice| glob.matches(notice.name())).collect();
        if matching.is_empty() {
            let wrong = Wrong::new(format!("\"{pattern}\" is no type of an event"));
            let expected = format!("{}, or a glob over them", error::one_of(&names().collect::<Vec<_>>()));
            check.fault(&path.index(index), wrong.expected(expected).nearest(error::nearest(pattern, names())));
        }
        types.extend(matching);
    }
    types
}

fn listed_groups(check: &mut Check<'_>, path: &KeyPath, listed: Vec<String>, groups: &[String]) -> BTreeSet<String> {
    if listed.is_empty() {
        check.fault(path, Wrong::new("no group is listed").expected("at least one, or no groups: all are told"));
    }
    for (index, name) in listed.iter().enumerate().filter(|(_, name)| !groups.contains(name)) {
        let wrong = Wrong::new(format!("there is no group \"{name}\"")).expected("a group of this environment");
        check.fault(&path.index(index), wrong.nearest(other_name(name, groups)));
    }
    listed.into_iter().collect()
}
