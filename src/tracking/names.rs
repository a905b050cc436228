//! The names of what is made for a restore point: deterministic, so that it is found again, and carrying the catalog's
//! identity, so that nobody else's is ever taken for ours.

use jiff::Timestamp;

/// What every temporary table's and backup's name begins with.
pub const PREFIX: &str = "stillpoint-";
/// DynamoDB's limit of tables' and backups' names ("Naming rules" in the developer guide).
const LONGEST: usize = 255;

/// What the names of one catalog begin with.
#[must_use]
pub fn prefix(catalog: &str) -> String {
    format!("{PREFIX}{catalog}-")
}

/// The temporary table of `source` for the restore point `point` of a group's store, and its backup: both have this name.
#[must_use]
pub fn temporary(catalog: &str, group: &str, store: &str, point: Timestamp, source: &str) -> String {
    let head = format!("{}{}-{:016x}-", prefix(catalog), point.strftime("%Y%m%dT%H%M%SZ"), mix([group, store, source]));
    let room = LONGEST - head.len().min(LONGEST);
    let tail: String = source.chars().take(room).collect();
    head + &tail
}

/// FNV-1a, whose values are the same in every version: names must be found again by a later one.
fn mix(parts: [&str; 3]) -> u64 {
    let text = parts.join("/");
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_says_whose_when_and_what() {
        let point = "2026-11-24T03:00:05Z".parse().unwrap();
        let name = temporary("0123456789abcdef", "shop", "orders", point, "orders.items");
        assert_eq!(name, "stillpoint-0123456789abcdef-20261124T030005Z-cfd52b0417e07dbb-orders.items");
    }

    proptest! {
        #[test]
        fn names_fit_and_differ_by_store_and_table(
            a in "[a-zA-Z0-9_.-]{3,255}", b in "[a-zA-Z0-9_.-]{3,255}", second in 0i64..4_000_000_000,
        ) {
            let point = Timestamp::from_second(second).unwrap();
            let name = |store: &str, table: &str| temporary("0123456789abcdef", "shop", store, point, table);
            prop_assert!(name("orders", &a).len() <= LONGEST);
            prop_assert!(name("orders", &a).starts_with(&prefix("0123456789abcdef")));
            prop_assert_eq!(name("orders", &a) == name("orders", &b), a == b);
            prop_assert_ne!(name("orders", &a), name("other", &a));
        }
    }
}
