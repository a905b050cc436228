use super::super::notices::Sent;
use super::*;
use crate::config::{Aws, Dynamodb, Materialize, Orphans, Preflight, Prices, Store, StoreKind, WindowSettings};
use crate::observe::configured::tests::group;
use crate::tracking::copy::Step;
use crate::tracking::track::{State, Track};
use std::io::Write as _;
use std::process::{Command, Stdio};

pub const SETTINGS: WindowSettings = WindowSettings {
    hold: Duration::from_secs(10),
    drain: Duration::from_secs(30),
    max_pause: Duration::from_secs(60),
};

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

pub fn metrics() -> Metrics {
    Metrics::new("0.1.0", at(1_700_000_000)).expect("metrics")
}

pub fn page(metrics: &Metrics) -> String {
    let now = Instant::now();
    metrics.render(&Health::new(now, Duration::from_secs(10)), now).expect("a page")
}

fn total(verdict: Verdict, reason: &str, count: u64) -> WindowTotal {
    WindowTotal { group: "payments".into(), verdict, reason: reason.into(), count }
}

/// Every metric touched, as a daemon would in a day.
pub fn lived_in() -> Metrics {
    let metrics = metrics();
    metrics.group_configured(&group(&["orders"], None));
    metrics.group_known("payments", &past(1_700_000_000));
    metrics.seed(&[total(Verdict::Consistent, "", 41), total(Verdict::Discarded, "drain_timeout", 2)]);
    metrics.scheduled("payments", Some(at(1_700_003_600)), Some(Duration::from_secs(86_400)));
    metrics.window_started("payments");
    metrics.pause_started("payments", at(1_700_003_660));
    let look = Look { known: 3, paused: 2, unanswered: 1 };
    metrics.members_seen("payments", &BTreeMap::from([("orders".into(), look)]));
    metrics.members_doubtful("payments", 1);
    metrics.unlisted_seen("east", &BTreeMap::from([("shop".into(), 2)]));
    metrics.window_ended("payments", &consistent(1_700_003_605));
    metrics.window_ended("payments", &Ended::missed());
    metrics.pause_started("payments", at(1_700_003_660));
    metrics.catalog_appended(Duration::from_millis(3));
    metrics.catalog_failed();
    metrics.catalog_size(4096);
    metrics.log_lines_dropped(7);
    metrics.config_begun("0a1b2c3d4e5f", at(1_700_000_000));
    metrics.role("alone");
    a_day_of_a_store(&metrics);
    metrics.webhook_known("ops");
    metrics.notified("ops", Sent::GivenUp, 2);
    metrics.notifications_waiting("ops", 3, Some(at(1_700_003_605)));
    metrics.heartbeat_known("payments");
    metrics.heartbeat("payments", Sent::Delivered, 1);
    metrics
}

fn a_day_of_a_store(metrics: &Metrics) {
    metrics.store_known("payments", "tables", true);
    let expires = Some(at(1_702_592_000));
    let restorable = Track { latest: Some(at(1_700_000_900)), expires, ..track(1_700_000_100, State::Restorable) };
    let tracks = [restorable, track(1_700_000_000, State::Materialized), track(1_700_003_600, State::Waiting)];
    metrics.tracked("payments", "tables", &tracks.each_ref());
    metrics.track_ended("payments", "tables", State::Lost);
    metrics.copies("payments", "tables", &BTreeMap::from([(Step::Restoring, 3)]));
    metrics.materialized("payments", &dynamodb("tables"), 12, 2_000_000_000);
    metrics.closed("payments", Duration::from_secs(90), Duration::from_secs(10), Some(Duration::from_secs(300)));
    metrics.orphans("payments", "tables", 1, 0);
    metrics.aws_called("123456789012", "eu-west-1", "DescribeTable", "ok");
    metrics.store_recoverable("payments", "tables", true);
    metrics.store_clock("payments", "tables", -0.5, 0.7);
}

pub fn track(point: i64, state: State) -> Track {
    Track { state, ..Track::new(format!("w{point}"), "payments".into(), "tables".into(), at(point)) }
}

/// A store of DynamoDB tables; a GB restored costs 0.15 dollars.
pub fn dynamodb(name: &str) -> Store {
    let aws = Aws { region: "eu-west-1".into(), role_arn: None, external_id: None, endpoint: None };
    let kind = StoreKind::Dynamodb(Dynamodb {
        aws,
        include: vec!["*".into()],
        exclude: Vec::new(),
        prefix: String::new(),
        coordinator: None,
        metadata: None,
        materialize: Materialize::Always,
        indexes: true,
        restores_at_once: 20,
        materialize_limit: Duration::from_secs(43_200),
        orphans: Orphans::Report,
        prices: Prices { restore: 0.15, backup: 0.1 },
    });
    Store { name: name.into(), preflight: Preflight::Refuse, kind }
}

fn consistent(point: i64) -> Ended {
    Ended {
        verdict: Verdict::Consistent,
        reason: None,
        restore_point: Some(at(point)),
        quiet: Some(Duration::from_secs(10)),
        closed: Some(Duration::from_millis(10_400)),
        drain: Some(Duration::from_millis(70)),
        hold: Some(Duration::from_secs(10)),
    }
}

fn past(first_seen: i64) -> Past {
    Past { first_seen: at(first_seen), last_consistent: None, discarded_in_a_row: 0 }
}

pub fn has(page: &str, line: &str) {
    assert!(page.lines().any(|found| found == line), "no line {line:?} in\n{page}");
}

#[test]
fn every_metric_is_described_and_every_description_is_a_metric() {
    let metrics = lived_in();
    let mut found: Vec<(String, String)> = metrics
        .registry
        .gather()
        .iter()
        .map(|family| (family.name().to_owned(), format!("{:?}", family.get_field_type()).to_lowercase()))
        .collect();
    let mut described: Vec<(String, String)> =
        described::describe().iter().map(|metric| (metric.name.to_owned(), metric.kind.name().to_owned())).collect();
    found.sort();
    described.sort();
    assert_eq!(found, described);
}

#[test]
fn a_group_is_there_from_the_first_scrape_without_a_last_point() {
    let metrics = metrics();
    metrics.group_known("payments", &past(1_700_000_000));
    let page = page(&metrics);
    has(&page, r#"stillpoint_windows_total{group="payments",reason="",verdict="consistent"} 0"#);
    has(&page, r#"stillpoint_group_first_seen_timestamp_seconds{group="payments"} 1700000000"#);
    has(&page, r#"stillpoint_windows_discarded_in_a_row{group="payments"} 0"#);
    has(&page, r#"stillpoint_window_running{group="payments"} 0"#);
    for absent in ["last_consistent", "next_slot", "expected_interval", "pause_deadline", "catalog_size"] {
        assert!(!page.contains(absent), "{absent} has no value yet\n{page}");
    }
}

#[test]
fn the_first_failure_of_every_usual_kind_grows_a_series_that_was_there() {
    let metrics = metrics();
    metrics.group_known("payments", &past(0));
    let before = page(&metrics);
    for code in Code::ALL {
        let kinds = [Verdict::Refused, Verdict::Discarded].into_iter().filter(|verdict| code.ends(*verdict));
        for verdict in kinds.clone() {
            let (reason, verdict) = (code.name(), verdict.name());
            let series =
                format!(r#"stillpoint_windows_total{{group="payments",reason="{reason}",verdict="{verdict}"}}"#);
            has(&before, &format!("{series} 0"));
        }
        // A slot at which no window began is missed or skipped: that has no reason in the metrics.
        let of_a_slot = matches!(code, Code::NotRunning | Code::Slept | Code::Blackout | Code::Suspended);
        assert_eq!(kinds.count() == 0, of_a_slot, "{}", code.name());
    }
    assert_eq!(before.matches("stillpoint_slots_missed_total{").count(), 1);
}

#[test]
fn windows_discarded_in_a_row_are_counted_until_one_is_consistent() {
    let metrics = metrics();
    metrics.group_known("payments", &Past { discarded_in_a_row: 2, ..past(0) });
    let told = |count: u32| format!(r#"stillpoint_windows_discarded_in_a_row{{group="payments"}} {count}"#);
    let end = |verdict| metrics.window_ended("payments", &Ended { verdict, ..Ended::missed() });
    for (verdict, count) in [
        (Verdict::Discarded, 3),
        (Verdict::Refused, 3),
        (Verdict::Missed, 3),
        (Verdict::Consistent, 0),
        (Verdict::Discarded, 1),
    ] {
        end(verdict);
        has(&page(&metrics), &told(count));
    }
}

#[test]
fn overshoot_is_what_members_were_closed_for_beyond_what_the_hold_needed() {
    let seconds = Duration::from_secs;
    let ended = |closed, quiet, hold| Ended { closed, quiet, hold, ..Ended::missed() };
    for (closed, quiet, overshoot) in [
        (Some(seconds(12)), Some(seconds(10)), Some(seconds(2))),
        // A hold that dragged on is no use to anyone beyond its length.
        (Some(seconds(16)), Some(seconds(15)), Some(seconds(6))),
        // It was cut short.
        (Some(seconds(5)), Some(seconds(4)), Some(seconds(1))),
        // Nothing came of it.
        (Some(seconds(30)), None, Some(seconds(30))),
        (None, None, None),
    ] {
        assert_eq!(ended(closed, quiet, Some(seconds(10))).overshoot(), overshoot, "{closed:?} {quiet:?}");
    }
    assert_eq!(ended(Some(seconds(12)), Some(seconds(11)), None).overshoot(), Some(seconds(1)));
}

#[test]
fn counters_go_on_from_the_catalog_after_a_restart() {
    let metrics = lived_in();
    metrics.seed(&[total(Verdict::Consistent, "", 41), total(Verdict::Missed, "", 1)]);
    let page = page(&metrics);
    has(&page, r#"stillpoint_windows_total{group="payments",reason="",verdict="consistent"} 42"#);
    has(&page, r#"stillpoint_windows_total{group="payments",reason="drain_timeout",verdict="discarded"} 2"#);
    has(&page, r#"stillpoint_windows_total{group="payments",reason="",verdict="missed"} 1"#);
    has(&page, r#"stillpoint_slots_missed_total{group="payments"} 1"#);
    has(&page, r#"stillpoint_last_consistent_timestamp_seconds{group="payments"} 1700003605"#);
    has(&page, r#"stillpoint_window_closed_seconds_count{group="payments"} 1"#);
}

#[test]
fn the_deadline_of_a_pause_goes_with_its_window_but_not_with_a_missed_slot() {
    let metrics = metrics();
    metrics.group_known("payments", &past(0));
    metrics.window_started("payments");
    metrics.pause_started("payments", at(60));
    metrics.window_ended("payments", &Ended::missed());
    has(&page(&metrics), r#"stillpoint_pause_deadline_timestamp_seconds{group="payments"} 60"#);
    has(&page(&metrics), r#"stillpoint_window_running{group="payments"} 1"#);
    metrics.window_ended("payments", &Ended { verdict: Verdict::Discarded, ..Ended::missed() });
    assert!(!page(&metrics).contains("pause_deadline"));
    has(&page(&metrics), r#"stillpoint_window_running{group="payments"} 0"#);
}

#[test]
fn a_cluster_that_vanished_takes_its_series_along() {
    let metrics = lived_in();
    has(&page(&metrics), r#"stillpoint_members_paused{group="payments",scalar_cluster="orders"} 2"#);
    metrics.members_seen("payments", &BTreeMap::from([("ledger".into(), Look { known: 1, ..Look::default() })]));
    let page = page(&metrics);
    let left = page.lines().filter(|line| line.starts_with("stillpoint_members") && line.contains("orders"));
    assert_eq!(left.count(), 0, "{page}");
    has(&page, r#"stillpoint_members{group="payments",scalar_cluster="ledger"} 1"#);
}

#[test]
fn a_group_that_left_the_config_leaves_no_series() {
    let metrics = lived_in();
    metrics.group_gone("payments");
    let page = page(&metrics);
    assert!(!page.contains("payments"), "{page}");
    assert!(page.contains("stillpoint_build_info"), "{page}");
}

#[test]
fn promtool_finds_nothing_to_say_about_the_page() {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is missing: run tests/setup.sh (Debian's package prometheus)");
    child.stdin.take().expect("stdin").write_all(page(&lived_in()).as_bytes()).expect("hand the page over");
    let output = child.wait_with_output().expect("promtool's end");
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim().is_empty(), "promtool says: {said}");
}
