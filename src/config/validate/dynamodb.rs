//! A store of DynamoDB tables.

use super::super::error::Wrong;
use super::super::path::KeyPath;
use super::super::{Aws, Dynamodb, Materialize, Orphans, Prices, defaults, raw};
use super::aws::{self, Access};
use super::store::once;
use super::{Check, Range};

const MATERIALIZE_LIMIT: Range = Range::millis(defaults::MATERIALIZE_LIMIT, 600_000, 168 * 3_600_000);
/// AWS's own limit for an account and region.
const MOST_RESTORES: u32 = 50;
/// Of 255 for a table's whole name.
const LONGEST_PART: usize = 200;

/// None when a part without which there is no store is faulty; every fault is recorded.
pub fn dynamodb(check: &mut Check<'_>, path: &KeyPath, raw: raw::Dynamodb) -> Option<Dynamodb> {
    let access =
        Access { region: raw.region, role_arn: raw.role_arn, external_id: raw.external_id, endpoint: raw.endpoint };
    let place = aws::aws(check, path, access);
    let prefix = raw.prefix.unwrap_or_default();
    part(check, &path.key("prefix"), &prefix, true);
    let raw::Tables { include, exclude } = raw.tables.unwrap_or_default();
    let (include, exclude) = (include.unwrap_or_default(), exclude.unwrap_or_default());
    if include.is_empty() {
        check.missing(path, "tables.include", "at least one pattern, such as include: [\"orders.*\"]");
    }
    let tables = path.key("tables");
    patterns(check, &tables.key("include"), &include, place.as_ref().map(|place| (place, prefix.as_str())));
    patterns(check, &tables.key("exclude"), &exclude, None);
    let coordinator = namespace(check, &path.key("coordinator"), raw.coordinator, defaults::COORDINATOR);
    let metadata = namespace(check, &path.key("metadata"), raw.metadata, defaults::METADATA);
    if let (Some(place), Some(namespace)) = (&place, &coordinator) {
        let shown = format!("the coordinator table {prefix}{namespace}.state in {}", aws::shown(place));
        let identity = table(place, &prefix, &format!("{namespace}.state"));
        once(check, &path.key("coordinator"), identity, &shown, "each in one store; coordinator: none in the others");
    }
    let restores = raw.restores_at_once.unwrap_or(defaults::RESTORES_AT_ONCE);
    if !(1..=MOST_RESTORES).contains(&restores) {
        let wrong = Wrong::new(format!("{restores} restores at once are out of range"));
        check.fault(&path.key("restores_at_once"), wrong.expected(format!("1 to {MOST_RESTORES}")));
    }
    let limit = check.span(&path.key("materialize_limit"), raw.materialize_limit.as_ref(), MATERIALIZE_LIMIT);
    let prices = prices(check, &path.key("prices"), &raw.prices.unwrap_or_default());
    Some(Dynamodb {
        aws: place?,
        include,
        exclude,
        prefix,
        coordinator,
        metadata,
        materialize: materialize(raw.materialize),
        indexes: raw.indexes.unwrap_or(defaults::INDEXES),
        restores_at_once: usize::try_from(restores).ok()?,
        materialize_limit: limit?,
        orphans: match raw.orphans {
            Some(raw::Orphans::Delete) => Orphans::Delete,
            Some(raw::Orphans::Report) | None => Orphans::Report,
        },
        prices,
    })
}

fn materialize(raw: Option<raw::Materialize>) -> Materialize {
    match raw {
        Some(raw::Materialize::Always) | None => Materialize::Always,
        Some(raw::Materialize::Daily) => Materialize::Daily,
        Some(raw::Materialize::Weekly) => Materialize::Weekly,
        Some(raw::Materialize::Never) => Materialize::Never,
    }
}

/// Checks globs over tables; those with a place belong to one store only.
fn patterns(check: &mut Check<'_>, path: &KeyPath, patterns: &[String], place: Option<(&Aws, &str)>) {
    let fits = |c: char| is_of_tables(c) || c == '*' || c == '?';
    for (index, pattern) in patterns.iter().enumerate() {
        let path = path.index(index);
        if !pattern.contains('.') || !pattern.chars().all(fits) {
            let wrong = Wrong::new(format!("\"{pattern}\" is not a pattern of tables"));
            check.fault(&path, wrong.expected("<namespace>.<table>, such as orders.* or *.*"));
        } else if let Some((place, prefix)) = place {
            let shown = format!("\"{pattern}\" in {}", aws::shown(place));
            once(check, &path, table(place, prefix, pattern), &shown, "each store in one group, once");
        }
    }
}

fn table(place: &Aws, prefix: &str, name: &str) -> String {
    format!("dynamodb/{}/{}/{prefix}{name}", aws::account(place), place.region)
}

fn namespace(check: &mut Check<'_>, path: &KeyPath, raw: Option<Option<String>>, default: &str) -> Option<String> {
    let text = raw.unwrap_or_else(|| Some(default.to_owned())).filter(|text| text != raw::NONE)?;
    part(check, path, &text, false);
    Some(text)
}

/// Faults a part of a table's name that no table of DynamoDB can have.
fn part(check: &mut Check<'_>, path: &KeyPath, text: &str, may_be_empty: bool) {
    let what = if text.is_empty() && !may_be_empty {
        "the namespace is empty".to_owned()
    } else if text.len() > LONGEST_PART {
        format!("\"{text}\" is too long ({} characters)", text.len())
    } else if !text.chars().all(is_of_tables) {
        format!("\"{text}\" cannot be part of a table's name")
    } else {
        return;
    };
    let none = if may_be_empty { "" } else { ", or none" };
    let expected = format!("letters, digits, dots, dashes and underscores, at most {LONGEST_PART}{none}");
    check.fault(path, Wrong::new(what).expected(expected));
}

const fn is_of_tables(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

fn prices(check: &mut Check<'_>, path: &KeyPath, raw: &raw::Prices) -> Prices {
    let mut price = |key: &str, raw: Option<f64>, default: f64| {
        let price = raw.unwrap_or(default);
        if !price.is_finite() || price < 0.0 {
            let wrong = Wrong::new(format!("{price} is not a price")).expected("US dollars a GB, 0 or more");
            check.fault(&path.key(key), wrong);
        }
        price
    };
    Prices {
        restore: price("restore", raw.restore, defaults::RESTORE_PRICE),
        backup: price("backup", raw.backup, defaults::BACKUP_PRICE),
    }
}
