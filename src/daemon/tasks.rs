//! Which tasks a config asks for.

use crate::config::{Config, Group, Keep, Store};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What runs beside the windows, each at most once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// The slots of a group.
    Slots(String),
    /// The looks at a group's members between windows.
    Sweep(String),
    /// The restore points of a group's store.
    Follower(String, String),
    /// The look over all namespaces.
    Coverage,
    /// What is old leaves the catalog.
    History,
}

impl Task {
    /// The group whose it is.
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::Slots(group) | Self::Sweep(group) | Self::Follower(group, _) => Some(group),
            Self::Coverage | Self::History => None,
        }
    }
}

/// What a task goes by: with other terms another task takes its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Terms {
    /// It follows the config by itself, so that a slot that is under way is never cut.
    Slots,
    Sweep {
        group: Arc<Group>,
        every: Duration,
    },
    Follower {
        store: Box<Store>,
        keep: Keep,
        time_zone: TimeZone,
    },
    Coverage {
        every: Duration,
    },
    History {
        kept: Duration,
    },
}

/// The tasks of a config.
pub(super) fn wanted(config: &Config) -> BTreeMap<Task, Terms> {
    let mut tasks = BTreeMap::new();
    let every = config.daemon.sweep_interval;
    for (name, group) in &config.groups {
        tasks.insert(Task::Slots(name.clone()), Terms::Slots);
        tasks.insert(Task::Sweep(name.clone()), Terms::Sweep { group: Arc::new(group.clone()), every });
        for (store, settings) in &group.stores {
            let terms =
                Terms::Follower { store: Box::new(settings.clone()), keep: group.keep, time_zone: group.time_zone() };
            tasks.insert(Task::Follower(name.clone(), store.clone()), terms);
        }
    }
    if let Some(every) = config.daemon.coverage_interval {
        tasks.insert(Task::Coverage, Terms::Coverage { every });
    }
    if let Some(kept) = config.daemon.history {
        tasks.insert(Task::History, Terms::History { kept });
    }
    tasks
}

/// Which of the tasks that run must end first, and which of those that are wanted may start now: none whose name still
/// runs.
pub(super) fn difference<'a>(
    running: &'a BTreeMap<Task, Terms>,
    wanted: &'a BTreeMap<Task, Terms>,
) -> (Vec<&'a Task>, Vec<(&'a Task, &'a Terms)>) {
    let end = running.iter().filter(|(task, terms)| wanted.get(task) != Some(terms)).map(|(task, _)| task);
    let start = wanted.iter().filter(|(task, _)| !running.contains_key(task));
    (end.collect(), start.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Files, load};

    const GROUP: &str = "{schedule: {cron: '0 3 * * *'}, window: {hold: 10s}, clusters: {c: {product: custom, \
                         addresses: ['127.0.0.1:1']}}, stores: {s: {dynamodb: {region: us-east-1, tables: {include: ['i.*']}}}}}";

    fn config(yaml: &str) -> Config {
        let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        std::fs::write(file.path(), yaml).unwrap();
        load(&Files::List(vec![file.path().to_owned()]), []).unwrap().config
    }

    fn two() -> String {
        let other = GROUP.replace("127.0.0.1:1", "127.0.0.1:2").replace("us-east-1", "us-west-2");
        format!("daemon: {{coverage_interval: none}}\ngroups:\n  a: {GROUP}\n  b: {other}\n")
    }

    /// The tasks that must end, and those that start once they have.
    fn changes(from: &str, to: &str) -> (Vec<Task>, Vec<Task>) {
        let (mut running, wanted) = (wanted(&config(from)), wanted(&config(to)));
        let end: Vec<Task> = difference(&running, &wanted).0.into_iter().cloned().collect();
        let early = difference(&running, &wanted).1;
        assert!(early.iter().all(|(task, _)| !end.contains(task)), "never two of a name: {early:?}");
        end.iter().for_each(|task| drop(running.remove(task)));
        let start = difference(&running, &wanted).1.into_iter().map(|(task, _)| task.clone()).collect();
        (end, start)
    }

    fn sweep(group: &str) -> Task {
        Task::Sweep(group.into())
    }

    fn follower(group: &str) -> Task {
        Task::Follower(group.into(), "s".into())
    }

    #[test]
    fn the_same_config_changes_nothing() {
        assert_eq!(changes(&two(), &two()), (vec![], vec![]));
        let commented = two().replace("groups:", "# a comment\ngroups:");
        assert_eq!(changes(&two(), &commented), (vec![], vec![]));
    }

    #[test]
    fn a_group_that_is_new_or_gone_brings_or_takes_its_tasks_and_no_others() {
        let one = two().lines().filter(|line| !line.starts_with("  b:")).collect::<Vec<_>>().join("\n");
        let tasks = vec![Task::Slots("b".into()), sweep("b"), follower("b")];
        assert_eq!(changes(&one, &two()), (vec![], tasks.clone()));
        assert_eq!(changes(&two(), &one), (tasks, vec![]));
    }

    #[test]
    fn a_new_hold_leaves_slots_and_followers_alone() {
        let longer = two().replacen("hold: 10s", "hold: 11s", 1);
        assert_eq!(changes(&two(), &longer), (vec![sweep("a")], vec![sweep("a")]));
    }

    #[test]
    fn a_changed_store_ends_its_follower_before_another_starts() {
        let moved = two().replacen("i.*", "k.*", 1);
        let both = vec![sweep("a"), follower("a")];
        assert_eq!(changes(&two(), &moved), (both.clone(), both));
    }

    #[test]
    fn what_a_follower_reads_of_its_group_changes_it_too() {
        let kept = two().replacen("window:", "keep: {last: 2}, window:", 1);
        assert_eq!(changes(&two(), &kept).1, [sweep("a"), follower("a")]);
        let zone = two().replacen("'0 3 * * *'", "'0 3 * * *', time_zone: Asia/Tokyo", 1);
        assert_eq!(changes(&two(), &zone).1, [sweep("a"), follower("a")]);
    }

    #[test]
    fn the_looks_follow_their_intervals() {
        let quicker = two().replace("coverage_interval: none", "coverage_interval: 1m, sweep_interval: 1s");
        assert_eq!(
            changes(&two(), &quicker),
            (vec![sweep("a"), sweep("b")], vec![sweep("a"), sweep("b"), Task::Coverage])
        );
    }
}
