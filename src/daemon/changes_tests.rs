use super::*;
use crate::config::{Coverage, Files, load};
use std::time::Duration;

const GROUP: &str = "{schedule: {cron: '0 3 * * *'}, clusters: {c: {product: custom, addresses: ['127.0.0.1:1']}}}";

fn loaded(yaml: &str) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, yaml).unwrap();
    load(&Files::List(vec![path]), []).unwrap()
}

fn changes(old: &str, new: &str) -> Changes {
    Changes::between(&loaded(old).config, &loaded(new).config)
}

fn groups(names: &[&str]) -> String {
    let group = |(number, name): (usize, &&str)| {
        format!("  {name}: {}\n", GROUP.replace("127.0.0.1:1", &format!("127.0.0.1:{}", number + 1)))
    };
    format!("groups:\n{}", names.iter().enumerate().map(group).collect::<String>())
}

#[test]
fn the_same_settings_in_other_words_change_nothing() {
    let other = groups(&["a"]).replace("groups:", "# with a comment\ndaemon: {sweep_interval: 60000ms}\ngroups:");
    let same = groups(&["a"]).replace("groups:", "daemon: {sweep_interval: 1m}\ngroups:");
    let none = changes(&same, &other);
    assert!(none.is_empty(), "{none:?}");
    assert_eq!(none.to_string(), "nothing changed");
}

#[test]
fn groups_that_come_go_and_change_are_named_with_their_parts() {
    let old = groups(&["a", "b", "c"]);
    let store = "stores: {s: {rds: {region: us-east-1, instance: i}}}";
    let other = format!("0 4 * * *'}}, window: {{hold: 5s}}, {store}");
    let new = groups(&["a", "b", "d"]).replacen("0 3 * * *'}", &other, 1);
    let changes = changes(&old, &new);
    assert_eq!((&changes.added[..], &changes.removed[..]), (&["d".to_owned()][..], &["c".to_owned()][..]));
    assert_eq!(changes.to_string(), "added d; removed c; changed a (schedule, window, stores)");
    assert!(!changes.daemon);
}

#[test]
fn every_part_of_a_group_is_named() {
    let old = loaded(&groups(&["a"])).config;
    let told = |change: fn(&mut Group)| {
        let mut new = old.clone();
        change(new.groups.get_mut("a").unwrap());
        Changes::between(&old, &new).to_string()
    };
    assert_eq!(told(|group| group.objective = Some(Duration::from_secs(60))), "changed a (objective)");
    assert_eq!(told(|group| group.closed_budget = Some(Duration::from_secs(60))), "changed a (closed_budget)");
    assert_eq!(told(|group| group.ignore.push("batch-*".into())), "changed a (ignore)");
    assert_eq!(told(|group| group.coverage = Coverage::Warn), "changed a (coverage)");
    let heart = loaded(&groups(&["a"]).replacen('{', "{heartbeat: 'http://127.0.0.1/beat', ", 1)).config;
    assert_eq!(Changes::between(&old, &heart).to_string(), "changed a (heartbeat)");
}

#[test]
fn settings_that_are_no_groups_are_told() {
    let quicker = groups(&["a"]).replace("groups:", "daemon: {sweep_interval: 5s}\ngroups:");
    assert_eq!(changes(&groups(&["a"]), &quicker).to_string(), "other settings changed");
}

fn refused(old: &str, new: &str) -> Option<String> {
    let (old, new) = (format!("{old}{}", groups(&["a"])), format!("{new}{}", groups(&["a"])));
    let told = fixed(&loaded(&old).config.daemon, &loaded(&new)).err()?.to_string();
    Some(
        told.lines()
            .map(|line| line.split_once("config.yaml").map_or(line, |(_, rest)| rest))
            .collect::<Vec<_>>()
            .join("\n"),
    )
}

#[test]
fn what_takes_a_restart_is_refused_by_key_and_place() {
    let told = refused("daemon: {http: 127.0.0.1:1}\n", "daemon:\n  http: 127.0.0.1:2\n").unwrap();
    let sentence =
        "127.0.0.1:2 is not what the running daemon has, and takes a restart; expected 127.0.0.1:1 until then";
    assert_eq!(told, format!(":2:9: daemon.http: {sentence}"));
    let told = refused("daemon: {catalog: sqlite:///a.db}\n", "daemon: {catalog: sqlite:///b.db}\n").unwrap();
    assert!(told.starts_with(":1:19: daemon.catalog: sqlite:///b.db is not"), "{told}");
    assert_eq!(told.lines().count(), 1, "the socket beside it is not told as well: {told}");
    let told = refused("", "daemon: {socket: /run/other.sock}\n").unwrap();
    assert!(told.starts_with(":1:18: daemon.socket: /run/other.sock is not"), "{told}");
}

#[test]
fn intervals_and_patterns_change_while_the_daemon_runs() {
    assert_eq!(refused("", "daemon: {sweep_interval: 5s, coverage_interval: none, ignore: ['batch-*']}\n"), None);
}
