use crate::config::{Aws, Store, StoreKind};
use crate::observe::Metrics;
use crate::observe::metrics::tests::{at, dynamodb, has, lived_in, metrics, page, track};
use crate::tracking::copy::Step;
use crate::tracking::track::{State, Track};
use std::collections::BTreeMap;

fn known() -> Metrics {
    let metrics = metrics();
    metrics.store_known("payments", "tables", true);
    metrics
}

fn lacks(page: &str, part: &str) {
    assert!(!page.contains(part), "{part:?} is in\n{page}");
}

#[test]
fn a_store_is_there_from_the_first_scrape_with_what_can_be_counted_only() {
    let page = page(&known());
    for state in State::ALL.iter().filter(|state| !state.over()) {
        let name = state.name();
        has(&page, &format!(r#"stillpoint_restore_points{{group="payments",state="{name}",store="tables"}} 0"#));
    }
    for state in ["lost", "failed", "expired"] {
        has(
            &page,
            &format!(r#"stillpoint_restore_points_ended_total{{group="payments",state="{state}",store="tables"}} 0"#),
        );
    }
    has(&page, r#"stillpoint_copies{group="payments",step="backing_up",store="tables"} 0"#);
    has(&page, r#"stillpoint_materialize_cost_dollars_total{group="payments",store="tables"} 0"#);
    for absent in ["latest_restorable", "oldest_waiting", "last_restorable", "orphans", "clock_offset", "aws_calls"] {
        lacks(&page, absent);
    }
}

#[test]
fn a_store_that_materializes_nothing_has_no_copies_and_no_cost() {
    let metrics = metrics();
    metrics.store_known("payments", "ledger", false);
    let aws = Aws { region: "eu-west-1".into(), role_arn: None, external_id: None, endpoint: None };
    let ledger = Store { kind: StoreKind::Rds { aws, instance: "ledger".into() }, ..dynamodb("ledger") };
    metrics.materialized("payments", &ledger, 0, 0);
    let page = page(&metrics);
    has(&page, r#"stillpoint_restore_points{group="payments",state="waiting",store="ledger"} 0"#);
    lacks(&page, "stillpoint_copies");
    lacks(&page, "stillpoint_materialize");
}

#[test]
fn a_reload_changes_no_figure() {
    let metrics = lived_in();
    let before = page(&metrics);
    metrics.store_known("payments", "tables", true);
    assert_eq!(page(&metrics), before);
}

#[test]
fn points_are_counted_by_state_and_the_oldest_unfinished_one_is_told_for_each() {
    let metrics = known();
    let tracks = [
        track(100, State::Materializing),
        track(300, State::Waiting),
        track(200, State::Waiting),
        track(400, State::Materializing),
    ];
    metrics.tracked("payments", "tables", &tracks.each_ref());
    let seen = page(&metrics);
    has(&seen, r#"stillpoint_restore_points{group="payments",state="waiting",store="tables"} 2"#);
    has(&seen, r#"stillpoint_restore_points{group="payments",state="restorable",store="tables"} 0"#);
    let oldest = "stillpoint_oldest_waiting_timestamp_seconds";
    has(&seen, &format!(r#"{oldest}{{group="payments",state="waiting",store="tables"}} 200"#));
    has(&seen, &format!(r#"{oldest}{{group="payments",state="materializing",store="tables"}} 100"#));
    metrics.tracked("payments", "tables", &[&track(300, State::Restorable)]);
    lacks(&page(&metrics), oldest);
}

#[test]
fn the_newest_restorable_point_counts_also_while_it_is_materialized_or_after_that_failed() {
    let newest = |states: &[(i64, State)]| {
        let metrics = known();
        let tracks: Vec<Track> = states.iter().map(|(point, state)| track(*point, *state)).collect();
        metrics.tracked("payments", "tables", &tracks.iter().collect::<Vec<_>>());
        let told = |name: &str| {
            let start = format!(r#"stillpoint_{name}_timestamp_seconds{{group="payments",store="tables"}} "#);
            page(&metrics).lines().find_map(|line| line.strip_prefix(&start)?.parse::<i64>().ok())
        };
        (told("last_restorable"), told("last_materialized"))
    };
    assert_eq!(newest(&[(100, State::Restorable), (200, State::Waiting), (300, State::Lost)]), (Some(100), None));
    assert_eq!(newest(&[(100, State::Materialized), (200, State::Materializing)]), (Some(200), Some(100)));
    assert_eq!(newest(&[(100, State::Failed), (50, State::Materialized)]), (Some(100), Some(50)));
    assert_eq!(newest(&[(100, State::Expiring), (50, State::Expired)]), (None, None));
}

#[test]
fn the_end_of_recovery_is_told_of_the_newest_restorable_point_unless_its_backups_stay() {
    let metrics = known();
    let until = "stillpoint_restorable_until_timestamp_seconds";
    let older = Track { expires: Some(at(9_100)), ..track(100, State::Materialized) };
    let newer = Track { expires: Some(at(9_200)), ..track(200, State::Restorable) };
    metrics.tracked("payments", "tables", &[&older, &newer]);
    has(&page(&metrics), &format!(r#"{until}{{group="payments",store="tables"}} 9200"#));
    metrics.tracked("payments", "tables", &[&older]);
    lacks(&page(&metrics), until);
    metrics.tracked("payments", "tables", &[&track(200, State::Restorable)]);
    lacks(&page(&metrics), until);
}

#[test]
fn the_latest_restorable_time_stays_when_no_point_asks_for_it_any_more() {
    let metrics = known();
    let latest = r#"stillpoint_latest_restorable_timestamp_seconds{group="payments",store="tables"}"#;
    let looked = |second| Track { latest: Some(at(second)), ..track(100, State::Waiting) };
    metrics.tracked("payments", "tables", &[&looked(700), &looked(900)]);
    has(&page(&metrics), &format!("{latest} 900"));
    metrics.tracked("payments", "tables", &[&looked(800)]);
    metrics.tracked("payments", "tables", &[]);
    has(&page(&metrics), &format!("{latest} 900"));
}

#[test]
fn only_what_ends_a_track_is_counted_as_its_end() {
    let metrics = known();
    for state in State::ALL {
        metrics.track_ended("payments", "tables", *state);
    }
    metrics.track_ended("payments", "tables", State::Failed);
    let page = page(&metrics);
    for (state, count) in [("lost", 1), ("failed", 2), ("expired", 1)] {
        let series =
            format!(r#"stillpoint_restore_points_ended_total{{group="payments",state="{state}",store="tables"}}"#);
        has(&page, &format!("{series} {count}"));
    }
    assert_eq!(page.lines().filter(|line| line.starts_with("stillpoint_restore_points_ended_total{")).count(), 3);
}

#[test]
fn a_step_that_no_table_is_at_any_more_goes_back_to_zero() {
    let metrics = known();
    metrics.copies("payments", "tables", &BTreeMap::from([(Step::Waiting, 20), (Step::Restoring, 5)]));
    metrics.copies("payments", "tables", &BTreeMap::from([(Step::Restoring, 25)]));
    let page = page(&metrics);
    has(&page, r#"stillpoint_copies{group="payments",step="waiting",store="tables"} 0"#);
    has(&page, r#"stillpoint_copies{group="payments",step="restoring",store="tables"} 25"#);
}

#[test]
fn what_was_materialized_goes_on_from_the_catalog_and_costs_what_the_config_says() {
    let metrics = known();
    let (tables, bytes) = ("stillpoint_materialized_tables_total", "stillpoint_materialized_bytes_total");
    let cost = "stillpoint_materialize_cost_dollars_total";
    let of_store = r#"{group="payments",store="tables"}"#;
    for _ in 0..2 {
        metrics.materialized("payments", &dynamodb("tables"), 40, 30_000_000_000);
    }
    let seen = page(&metrics);
    for line in
        [format!("{tables}{of_store} 40"), format!("{bytes}{of_store} 30000000000"), format!("{cost}{of_store} 4.5")]
    {
        has(&seen, &line);
    }
    metrics.materialized("payments", &dynamodb("tables"), 41, 40_000_000_000);
    metrics.materialized("payments", &dynamodb("tables"), 0, 0);
    let seen = page(&metrics);
    for line in
        [format!("{tables}{of_store} 41"), format!("{bytes}{of_store} 40000000000"), format!("{cost}{of_store} 6")]
    {
        has(&seen, &line);
    }
}

#[test]
fn a_call_counts_under_its_outcome_and_the_others_are_there_with_it() {
    let metrics = metrics();
    for outcome in ["ok", "ok", "denied"] {
        metrics.aws_called("123456789012", "eu-west-1", "CreateBackup", outcome);
    }
    metrics.aws_called("123456789012", "us-east-1", "CreateBackup", "throttled");
    let page = page(&metrics);
    for (region, outcome, count) in
        [("eu-west-1", "ok", 2), ("eu-west-1", "denied", 1), ("eu-west-1", "lost", 0), ("us-east-1", "throttled", 1)]
    {
        let labels =
            format!(r#"account="123456789012",operation="CreateBackup",outcome="{outcome}",region="{region}""#);
        has(&page, &format!("stillpoint_aws_calls_total{{{labels}}} {count}"));
    }
}

#[test]
fn a_sweep_and_a_look_at_the_clock_are_told_with_both_their_sides() {
    let page = page(&lived_in());
    has(&page, r#"stillpoint_orphans{group="payments",kind="table",store="tables"} 1"#);
    has(&page, r#"stillpoint_orphans{group="payments",kind="backup",store="tables"} 0"#);
    has(&page, r#"stillpoint_store_clock_offset_seconds{bound="low",group="payments",store="tables"} -0.5"#);
    has(&page, r#"stillpoint_store_clock_offset_seconds{bound="high",group="payments",store="tables"} 0.7"#);
}

#[test]
fn a_store_that_left_the_config_takes_its_series_along_and_no_others() {
    let metrics = lived_in();
    metrics.store_known("payments", "ledger", false);
    metrics.store_gone("payments", "tables");
    let page = page(&metrics);
    // What the config has goes with the config.
    let left = page.lines().filter(|line| line.contains(r#"store="tables""#) && !line.contains("_store_info"));
    assert_eq!(left.count(), 0, "{page}");
    has(&page, r#"stillpoint_restore_points{group="payments",state="waiting",store="ledger"} 0"#);
    has(&page, r#"stillpoint_window_running{group="payments"} 0"#);
    assert!(page.contains("stillpoint_aws_calls_total{"), "calls belong to no store:\n{page}");
}

#[test]
fn a_group_that_left_the_config_takes_its_stores_along_and_no_others() {
    let metrics = lived_in();
    metrics.store_known("other", "tables", true);
    // Without a word before: whatever has series is remembered.
    metrics.store_clock("payments", "ledger", 0.0, 1.0);
    metrics.group_gone("payments");
    let page = page(&metrics);
    lacks(&page, r#"group="payments""#);
    has(&page, r#"stillpoint_restore_points{group="other",state="waiting",store="tables"} 0"#);
}
