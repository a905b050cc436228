//! The stores of a group: each of one kind, and of one group only.

use super::super::error::Wrong;
use super::super::path::KeyPath;
use super::super::{Aws, Keep, Preflight, Store, StoreKind, raw};
use super::Check;
use super::aws::{self, Access};
use super::dynamodb::dynamodb;
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
const IDENTIFIER: &str = "letters, digits and single inner dashes, a letter first, at most 63";
const LONGEST_IDENTIFIER: usize = 63;
const AWS_GUARD: Duration = Duration::from_secs(1);

/// Checks a group's stores; gives those without a fault, and the widest guard of all.
pub fn stores(
    check: &mut Check<'_>,
    path: &KeyPath,
    raw: BTreeMap<String, Option<raw::Store>>,
) -> (BTreeMap<String, Store>, Option<Guard>) {
    let mut widest: Option<Guard> = None;
    let mut stores = BTreeMap::new();
    for (name, raw) in raw {
        let path = path.key(&name);
        check.name(&path, &name);
        let Some(raw) = check.something(&path, raw) else { continue };
        if raw.postgresql.is_none() && widest.is_none() {
            widest = Some(Guard { store: name.clone(), width: AWS_GUARD });
        }
        let preflight = match raw.preflight {
            Some(raw::Preflight::Warn) => Preflight::Warn,
            Some(raw::Preflight::Refuse) | None => Preflight::Refuse,
        };
        if let Some(kind) = kind(check, &path, raw) {
            stores.insert(name.clone(), Store { name, preflight, kind });
        }
    }
    (stores, widest)
}

fn kind(check: &mut Check<'_>, path: &KeyPath, raw: raw::Store) -> Option<StoreKind> {
    match raw {
        raw::Store { dynamodb: Some(raw), rds: None, aurora: None, postgresql: None, .. } => {
            dynamodb(check, &path.key("dynamodb"), raw).map(StoreKind::Dynamodb)
        }
        raw::Store { dynamodb: None, rds: Some(raw), aurora: None, postgresql: None, .. } => {
            let access = Access {
                region: raw.region,
                role_arn: raw.role_arn,
                external_id: raw.external_id,
                endpoint: raw.endpoint,
            };
            let (aws, instance) = database(check, &path.key("rds"), access, ("rds", "instance"), raw.instance)?;
            Some(StoreKind::Rds { aws, instance })
        }
        raw::Store { dynamodb: None, rds: None, aurora: Some(raw), postgresql: None, .. } => {
            let access = Access {
                region: raw.region,
                role_arn: raw.role_arn,
                external_id: raw.external_id,
                endpoint: raw.endpoint,
            };
            let (aws, cluster) = database(check, &path.key("aurora"), access, ("aurora", "cluster"), raw.cluster)?;
            Some(StoreKind::Aurora { aws, cluster })
        }
        raw::Store { dynamodb: None, rds: None, aurora: None, postgresql: Some(raw), .. } => {
            let wrong = Wrong::new(
                "this version cannot follow a PostgreSQL store yet; a restore point without it would be a promise not kept",
            );
            check.fault(path, wrong.expected("one of dynamodb, rds, aurora for now"));
            postgresql(check, &path.key("postgresql"), &raw);
            None
        }
        _ => {
            check.fault(path, Wrong::new("the store is not of one kind").expected(KINDS));
            None
        }
    }
}

fn database(
    check: &mut Check<'_>,
    path: &KeyPath,
    access: Access,
    (kind, key): (&str, &str),
    text: Option<String>,
) -> Option<(Aws, String)> {
    let place = aws::aws(check, path, access);
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        check.missing(path, key, &format!("the {key}'s identifier"));
        return None;
    };
    if !is_identifier(&text) {
        let wrong = Wrong::new(format!("\"{text}\" cannot be the {key}'s identifier")).expected(IDENTIFIER);
        check.fault(&path.key(key), wrong);
        return None;
    }
    let place = place?;
    // AWS keeps identifiers in lower case, and takes them in any.
    let identity = format!("{kind}/{}/{}/{}", aws::account(&place), place.region, text.to_lowercase());
    let shown = format!("\"{text}\" in {}", aws::shown(&place));
    once(check, &path.key(key), identity, &shown, "each store in one group, once");
    Some((place, text))
}

fn is_identifier(text: &str) -> bool {
    text.len() <= LONGEST_IDENTIFIER
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !text.ends_with('-')
        && !text.contains("--")
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
            let shown = format!("the server of {text}");
            let identity = format!("postgresql/{text}");
            once(check, &path.key("url_file"), identity, &shown, "each store in one group, once");
        }
    }
}

/// Faults a store that another group, or this one, already has.
pub fn once(check: &mut Check<'_>, path: &KeyPath, identity: String, shown: &str, expected: &str) {
    if let Some(first) = check.stores.get(&identity).cloned() {
        let (_, place) = check.place(&first);
        check.fault(path, Wrong::new(format!("{shown} is already {first} ({place})")).expected(expected));
    } else {
        check.stores.insert(identity, path.clone());
    }
}

/// Which restore points' backups are kept; only what is materialized has any.
pub fn keep(check: &mut Check<'_>, path: &KeyPath, raw: Option<&raw::Keep>, materializes: bool) -> Keep {
    let Some(raw) = raw else { return Keep::default() };
    let number = |raw: Option<u32>| usize::try_from(raw.unwrap_or_default()).unwrap_or(usize::MAX);
    let (last, daily) = (number(raw.last), number(raw.daily));
    let keep = Keep { last, daily, weekly: number(raw.weekly), monthly: number(raw.monthly) };
    if !materializes {
        let wrong = Wrong::new("keep is about backups, and no store of this group is materialized");
        check.fault(path, wrong.expected("keep beside a dynamodb store that is materialized"));
    } else if keep == Keep::default() {
        let wrong = Wrong::new("keep keeps no restore point");
        check.fault(
            path,
            wrong.expected("at least one of last, daily, weekly, monthly above 0, or no keep: all are kept"),
        );
    }
    keep
}

/// Whether a store that was written is to be materialized, faulty or not.
pub fn materializes(raw: &raw::Store) -> bool {
    raw.dynamodb.as_ref().is_some_and(|raw| raw.materialize != Some(raw::Materialize::Never))
}
