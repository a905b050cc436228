//! A real Prometheus beside a real daemon, while things go wrong: every alert that they concern fires, and ends.

use crate::prometheus::Prometheus;
use crate::rig::support::panels::expressions;
use crate::rig::support::ports::free_port;
use crate::rig::support::process::Process;
use crate::rig::support::wait_until;
use crate::rig::{LIMIT, Rig};
use rustix::process::Signal;

/// Members, the daemon, and Prometheus. `shop` has windows when it is told; nobody ever answers in `never`.
struct Run {
    rig: Rig,
    daemon: Process,
    prometheus: Prometheus,
}

impl Run {
    fn start() -> Self {
        let rig = Rig::with(1, "{hold: 2s, drain: 2s, max_pause: 6s}", "    objective: 1m\n");
        let never = format!(
            "groups:\n  never:\n    schedule: {{cron: \"*/20 * * * * *\", lead: 500ms, starting_deadline: 2s}}\n    \
             window: {{hold: 2s, drain: 2s, max_pause: 6s}}\n    clusters:\n      \
             lost: {{product: custom, addresses: [\"127.0.0.1:{}\"]}}\n",
            free_port()
        );
        rig.replace("groups:\n", &never);
        let daemon = rig.daemon();
        let folder = rig.path("prometheus");
        std::fs::create_dir(&folder).unwrap();
        let prometheus = Prometheus::start(&folder, rig.http);
        Self { rig, daemon, prometheus }
    }

    fn consistent_window(&self) {
        let (code, _, errors) = self.rig.run(&["window", "shop"]);
        assert_eq!(code, 0, "{errors}");
    }

    /// Somebody opens a member in the hold.
    fn discarded_window(&self) {
        let mut window = self.rig.start(&["window", "shop"]);
        self.rig.wait_until_paused(3);
        self.rig.unpause_as_someone_else(0);
        assert_eq!(window.wait(LIMIT).code(), Some(3), "{}", window.tail());
    }

    fn restart(&mut self) {
        self.daemon = self.rig.daemon();
    }
}

#[test]
fn alerts_fire_and_resolve_as_a_daemon_lives_through_its_troubles() {
    let mut run = Run::start();
    run.consistent_window();
    failures(&run);
    foreign_pause(&run);
    panels_have_data(&run.prometheus);
    down(&mut run);
    dead_in_the_hold(&mut run);
    run.prometheus.wait_until_resolved("WindowFailed", "shop");
    run.prometheus.wait_until_resolved("SlotMissed", "never");
    run.prometheus.wait_for("NoConsistentWindow", "never");
    run.consistent_window();
    run.prometheus.wait_until_resolved("NoConsistentWindow", "shop");
    run.prometheus.assert_silent("CatalogFailing");
}

/// A group that nobody answers in is refused, between two scrapes; three windows are discarded in a row.
fn failures(run: &Run) {
    let prometheus = &run.prometheus;
    prometheus.wait_for("WindowFailed", "never");
    let begun = prometheus.value("sum(stillpoint_windows_total{group=\"never\"})").unwrap();
    let grown = format!("sum(stillpoint_windows_total{{group=\"never\"}}) > {begun}");
    wait_until("a window between two scrapes", LIMIT, || (!prometheus.query(&grown).is_empty()).then_some(()));
    let seen = prometheus.value("avg_over_time(stillpoint_window_running{group=\"never\"}[2m])");
    println!("a scrape met {:.0} % of the moments with a refused window", seen.unwrap_or_default() * 100.0);
    assert!(prometheus.firing().iter().all(|(alert, group)| alert != "StillpointWindowFailed" || group == "never"));
    for _ in 0..3 {
        run.discarded_window();
    }
    prometheus.wait_for("WindowFailed", "shop");
    prometheus.wait_for("WindowsDiscardedRepeatedly", "shop");
    assert_eq!(prometheus.value("stillpoint_windows_discarded_in_a_row{group=\"shop\"}"), Some(3.0));
    run.consistent_window();
    prometheus.wait_until_resolved("WindowsDiscardedRepeatedly", "shop");
}

fn foreign_pause(run: &Run) {
    run.prometheus.assert_silent("MemberLeftPaused");
    run.rig.pause_as_someone_else(1);
    run.prometheus.wait_for("MemberLeftPaused", "shop");
    run.rig.unpause_as_someone_else(1);
    run.prometheus.wait_until_resolved("MemberLeftPaused", "shop");
}

/// Over two slots of `never`.
fn down(run: &mut Run) {
    run.prometheus.assert_silent("SlotMissed");
    run.prometheus.assert_silent("Down");
    run.daemon.kill();
    run.prometheus.wait_for("Down", "");
    let slot = "time() - max(last_over_time(stillpoint_next_slot_timestamp_seconds{group=\"never\"}[2m])) > 3";
    wait_until("a slot passes", LIMIT, || (!run.prometheus.query(slot).is_empty()).then_some(()));
    run.restart();
    run.prometheus.wait_until_resolved("Down", "");
    run.prometheus.wait_for("SlotMissed", "never");
}

/// What the daemon had closed when it died stays closed, and the alert knows it though nobody can be asked.
fn dead_in_the_hold(run: &mut Run) {
    // A hold in which a scrape and a sweep see everything closed.
    let _pause = run.rig.start(&["pause", "shop", "--limit", "5s"]);
    run.rig.wait_until_paused(3);
    let closed = "sum(stillpoint_members_paused{group=\"shop\"}) == 3";
    wait_until("a scrape sees it", LIMIT, || (!run.prometheus.query(closed).is_empty()).then_some(()));
    run.daemon.signal(Signal::KILL);
    run.prometheus.wait_for("Down", "");
    run.prometheus.wait_for("MemberLeftPaused", "shop");
    run.prometheus.wait_for("NoConsistentWindow", "shop");
    assert_eq!(run.rig.paused(), 3);
    run.restart();
    run.prometheus.wait_until_resolved("MemberLeftPaused", "shop");
    assert_eq!(run.rig.paused(), 0);
    run.prometheus.wait_until_resolved("Down", "");
}

/// What needs a store, and what is there for moments only, is left to promtool (`tests/chart/dashboard.rs`).
fn panels_have_data(prometheus: &Prometheus) {
    let elsewhere = [
        "store",
        "stillpoint_aws",
        "stillpoint_copies",
        "stillpoint_material",
        "stillpoint_orphans",
        "_restorable_",
        "oldest_waiting",
        "pause_deadline",
    ];
    let (mut full, mut refused) = (0, Vec::new());
    for (title, expression) in expressions() {
        let found = !prometheus.query(&expression).is_empty();
        match found || elsewhere.iter().any(|word| expression.contains(word)) {
            true => full += usize::from(found),
            false => refused.push(format!("{title}: {expression}")),
        }
    }
    println!("{full} panels' queries have data");
    assert!(refused.is_empty(), "no data for\n{}", refused.join("\n"));
}
