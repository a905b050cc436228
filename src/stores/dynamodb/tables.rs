//! Which tables belong to a store.

use super::super::trouble::few;
use crate::config;
use crate::tracking::names;
use std::collections::BTreeSet;
use wildmatch::WildMatch;

/// What a store's patterns mean, among the tables that there are. All names are physical but the patterns.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    pub tables: BTreeSet<String>,
    /// Patterns of `include` that nothing matches.
    pub unmatched: Vec<String>,
    /// Tables named like ScalarDB's that no pattern speaks of.
    pub left: Vec<String>,
    /// ScalarDB's own tables that are missing.
    pub absent: Vec<String>,
}

/// Chooses among the tables that there are. Ours, which are restored and backed up and deleted again, are never chosen.
pub fn choose(config: &config::Dynamodb, there: &[String]) -> Chosen {
    let include: Vec<WildMatch> = config.include.iter().map(|pattern| WildMatch::new(pattern)).collect();
    let exclude: Vec<WildMatch> = config.exclude.iter().map(|pattern| WildMatch::new(pattern)).collect();
    let mut used = vec![false; include.len()];
    let mut chosen = Chosen::default();
    for physical in there.iter().filter(|name| !name.starts_with(names::PREFIX)) {
        let Some(name) = physical.strip_prefix(&config.prefix) else { continue };
        let mut matched = false;
        for (pattern, used) in include.iter().zip(&mut used) {
            if pattern.matches(name) {
                (matched, *used) = (true, true);
            }
        }
        let excluded = exclude.iter().any(|pattern| pattern.matches(name));
        if is_scalardbs(config, name) || (matched && !excluded) {
            chosen.tables.insert(physical.clone());
        } else if !excluded && name.contains('.') {
            // Without a dot it is no table of ScalarDB's, and no pattern could name it.
            chosen.left.push(physical.clone());
        }
    }
    let unmatched = config.include.iter().zip(used).filter(|(_, used)| !used);
    chosen.unmatched = unmatched.map(|(pattern, _)| pattern.clone()).collect();
    let must = required(config).into_iter().map(|name| format!("{}{name}", config.prefix));
    chosen.absent = must.filter(|name| !chosen.tables.contains(name)).collect();
    chosen
}

/// The coordinator's table and the metadata's, whatever the patterns say.
fn is_scalardbs(config: &config::Dynamodb, name: &str) -> bool {
    let namespaces = config.metadata.as_ref().map(|metadata| format!("{metadata}.namespaces"));
    required(config).iter().chain(&namespaces).any(|own| own == name)
}

/// Those that every version of ScalarDB has; `namespaces` came later.
fn required(config: &config::Dynamodb) -> Vec<String> {
    let coordinator = config.coordinator.as_ref().map(|namespace| format!("{namespace}.state"));
    let metadata = config.metadata.as_ref().map(|namespace| format!("{namespace}.metadata"));
    coordinator.into_iter().chain(metadata).collect()
}

impl Chosen {
    /// What a person should know of the choice.
    pub fn notes(&self) -> Vec<String> {
        let absent = self.absent.iter().map(|name| format!("ScalarDB's own table {name} is not there"));
        let left = (!self.left.is_empty()).then(|| match self.left.len() {
            1 => format!("1 table is matched by no pattern: {}", self.left[0]),
            count => format!("{count} tables are matched by no pattern: {}", few(self.left.clone())),
        });
        absent.chain(left).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::config;
    use super::*;
    use proptest::prelude::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn patterns_exclusions_and_scalardbs_own_tables() {
        let mut config = config(&["orders.*", "stock.items", "gone.*"], &["orders.tmp_*", "coordinator.*"]);
        config.prefix = "p-".to_owned();
        let there = names(&[
            "p-orders.a",
            "p-orders.tmp_a",
            "p-stock.items",
            "p-stock.other",
            "orders.a",
            "p-coordinator.state",
            "p-scalardb.metadata",
            "p-scalardb.namespaces",
            "p-nodot",
            "stillpoint-x-orders.a",
        ]);
        let chosen = choose(&config, &there);
        let tables: Vec<&str> = chosen.tables.iter().map(String::as_str).collect();
        assert_eq!(
            tables,
            ["p-coordinator.state", "p-orders.a", "p-scalardb.metadata", "p-scalardb.namespaces", "p-stock.items"]
        );
        assert_eq!((chosen.unmatched.clone(), chosen.left.clone()), (names(&["gone.*"]), names(&["p-stock.other"])));
        assert_eq!(chosen.notes(), ["1 table is matched by no pattern: p-stock.other"]);
    }

    #[test]
    fn a_missing_coordinator_or_metadata_table_is_told_and_missing_namespaces_are_not() {
        let chosen = choose(&config(&["orders.*"], &[]), &names(&["orders.a"]));
        assert_eq!(
            chosen.notes(),
            [
                "ScalarDB's own table coordinator.state is not there",
                "ScalarDB's own table scalardb.metadata is not there"
            ]
        );
    }

    #[test]
    fn without_a_coordinator_in_dynamodb_none_is_missed() {
        let mut config = config(&["orders.*"], &[]);
        (config.coordinator, config.metadata) = (None, None);
        assert_eq!(choose(&config, &names(&["orders.a"])).notes(), Vec::<String>::new());
    }

    #[test]
    fn our_own_tables_are_never_chosen_whatever_the_pattern() {
        let mut config = config(&["*.*"], &[]);
        let there = names(&["stillpoint-0123456789abcdef-20261124T030005Z-17306d559ec7fbe9-orders.items"]);
        assert!(choose(&config, &there).tables.is_empty());
        config.prefix = "stillpoint-".to_owned();
        assert!(choose(&config, &there).tables.is_empty());
    }

    proptest! {
        #[test]
        fn every_table_is_chosen_left_excluded_or_no_table_of_scalardbs(
            there in proptest::collection::btree_set("(p-|stillpoint-)?[ab]{1,2}\\.?[cd]{0,2}", 0..12),
            include in proptest::collection::vec("[ab*]\\.[cd*]", 1..3),
            exclude in proptest::collection::vec("[ab*]\\.[cd*]", 0..2),
        ) {
            let mut config = config(&[], &[]);
            (config.include, config.exclude, config.prefix) = (include, exclude, "p-".to_owned());
            let there: Vec<String> = there.into_iter().collect();
            let chosen = choose(&config, &there);
            let any = |patterns: &[String], name: &str| patterns.iter().any(|pattern| WildMatch::new(pattern).matches(name));
            for table in &there {
                let name = table.strip_prefix("p-");
                let wanted = name.is_some_and(|name| any(&config.include, name) && !any(&config.exclude, name));
                prop_assert_eq!(chosen.tables.contains(table), wanted);
                let left = name.is_some_and(|name| !any(&config.include, name) && !any(&config.exclude, name) && name.contains('.'));
                prop_assert_eq!(chosen.left.contains(table), left);
            }
            for pattern in &config.include {
                let matched = there.iter().filter_map(|table| table.strip_prefix("p-")).any(|name| any(std::slice::from_ref(pattern), name));
                prop_assert_eq!(chosen.unmatched.contains(pattern), !matched);
            }
        }
    }
}
