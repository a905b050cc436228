//! Stores keep their place in the config: their shape is checked, and then each is refused, because this version cannot
//! follow any, and a store that is silently not looked after would be a promise not kept.

use super::super::error::Wrong;
use super::super::path::KeyPath;
use super::super::raw;
use super::Check;
use std::collections::BTreeMap;
use std::time::Duration;

/// How far a store's clock is not to be trusted, on either side of the restore point.
#[derive(Debug, Clone)]
pub struct Guard {
    /// The name of the store that needs it.
    pub store: String,
    pub width: Duration,
}

const KINDS: &str = "exactly one of dynamodb, rds, aurora, postgresql";

/// Checks a group's stores; gives the widest guard, if there are stores at all.
pub fn stores(check: &mut Check<'_>, path: &KeyPath, raw: BTreeMap<String, Option<raw::Store>>) -> Option<Guard> {
    let mut widest: Option<Guard> = None;
    for (name, raw) in raw {
        let path = path.key(&name);
        check.name(&path, &name);
        let Some(raw) = check.something(&path, raw) else { continue };
        let Some((kind, width)) = store(check, &path, &raw) else { continue };
        let wrong = Wrong::new(format!(
            "this version cannot follow {kind} store yet; a restore point without it would be a promise not kept"
        ));
        check.fault(&path, wrong.expected("no stores for now"));
        if widest.as_ref().is_none_or(|guard| guard.width < width) {
            widest = Some(Guard { store: name, width });
        }
    }
    widest
}

fn store(check: &mut Check<'_>, path: &KeyPath, raw: &raw::Store) -> Option<(&'static str, Duration)> {
    const AWS: Duration = Duration::from_secs(1);
    match raw {
        raw::Store { dynamodb: Some(raw), rds: None, aurora: None, postgresql: None } => {
            dynamodb(check, &path.key("dynamodb"), raw);
            Some(("a DynamoDB", AWS))
        }
        raw::Store { dynamodb: None, rds: Some(raw), aurora: None, postgresql: None } => {
            database(check, &path.key("rds"), raw.region.as_deref(), "instance", raw.instance.as_deref());
            Some(("an RDS", AWS))
        }
        raw::Store { dynamodb: None, rds: None, aurora: Some(raw), postgresql: None } => {
            database(check, &path.key("aurora"), raw.region.as_deref(), "cluster", raw.cluster.as_deref());
            Some(("an Aurora", AWS))
        }
        raw::Store { dynamodb: None, rds: None, aurora: None, postgresql: Some(raw) } => {
            postgresql(check, &path.key("postgresql"), raw);
            Some(("a PostgreSQL", Duration::ZERO))
        }
        _ => {
            check.fault(path, Wrong::new("the store is not of one kind").expected(KINDS));
            None
        }
    }
}

fn dynamodb(check: &mut Check<'_>, path: &KeyPath, raw: &raw::Dynamodb) {
    let region = region(check, path, raw.region.as_deref());
    let tables = path.key("tables");
    let include = raw.tables.as_ref().and_then(|tables| tables.include.as_deref()).unwrap_or_default();
    if include.is_empty() {
        check.missing(path, "tables.include", "at least one table, such as include: [\"orders.*\"]");
    }
    let exclude = raw.tables.as_ref().and_then(|tables| tables.exclude.as_deref()).unwrap_or_default();
    for (key, patterns) in [("include", include), ("exclude", exclude)] {
        for (index, pattern) in patterns.iter().enumerate() {
            let path = tables.key(key).index(index);
            if !pattern.contains('.') || pattern.contains(char::is_whitespace) {
                let wrong = Wrong::new(format!("\"{pattern}\" is not a pattern of tables"));
                check.fault(&path, wrong.expected("<namespace>.<table>, such as orders.* or *.*"));
            } else if key == "include"
                && let Some(region) = &region
            {
                let identity = format!("dynamodb/{region}/{}{pattern}", raw.prefix.as_deref().unwrap_or_default());
                once(check, &path, identity, &format!("\"{pattern}\" in {region}"));
            }
        }
    }
}

fn database(check: &mut Check<'_>, path: &KeyPath, region_text: Option<&str>, key: &str, text: Option<&str>) {
    let region = region(check, path, region_text);
    match (text, region) {
        (None | Some(""), _) => check.missing(path, key, &format!("the {key}'s identifier")),
        (Some(text), Some(region)) => {
            let kind = path.to_string();
            let kind = kind.rsplit('.').next().unwrap_or_default();
            once(check, &path.key(key), format!("{kind}/{region}/{text}"), &format!("\"{text}\" in {region}"));
        }
        _ => {}
    }
}

fn postgresql(check: &mut Check<'_>, path: &KeyPath, raw: &raw::Postgresql) {
    match &raw.url_file {
        None => check.missing(path, "url_file", "the absolute path of a file that holds the connection URL"),
        Some(text) if text.contains("://") => {
            // The text may hold a password, so it is not repeated.
            let wrong = Wrong::new("a URL stands here")
                .expected("the absolute path of a file that holds it; secrets are never written in YAML");
            check.fault(&path.key("url_file"), wrong);
        }
        Some(text) => {
            check.absolute(&path.key("url_file"), text);
            once(check, &path.key("url_file"), format!("postgresql/{text}"), &format!("the server of {text}"));
        }
    }
}

fn region(check: &mut Check<'_>, path: &KeyPath, text: Option<&str>) -> Option<String> {
    const EXPECTED: &str = "an AWS region, such as ap-northeast-1";
    let Some(text) = text else {
        check.missing(path, "region", EXPECTED);
        return None;
    };
    let parts: Vec<&str> = text.split('-').collect();
    let letters = |part: &&str| part.len() >= 2 && part.chars().all(|c| c.is_ascii_lowercase());
    let is_region = match parts.split_last() {
        Some((number, words)) => words.len() >= 2 && words.iter().all(letters) && number.parse::<u8>().is_ok(),
        None => false,
    };
    if !is_region {
        check.fault(&path.key("region"), Wrong::new(format!("\"{text}\" is not a region")).expected(EXPECTED));
        return None;
    }
    Some(text.to_owned())
}

/// Faults a store that another group, or this one, already has.
fn once(check: &mut Check<'_>, path: &KeyPath, identity: String, shown: &str) {
    if let Some(first) = check.stores.get(&identity).cloned() {
        let (_, place) = check.place(&first);
        check.fault(
            path,
            Wrong::new(format!("{shown} is already {first} ({place})")).expected("each store in one group, once"),
        );
    } else {
        check.stores.insert(identity, path.clone());
    }
}
