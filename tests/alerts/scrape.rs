//! A real Prometheus beside a real daemon, while things go wrong: every alert that they concern fires, and ends.

use crate::prometheus::Prometheus;
use crate::receiver::{Mood, Receiver, SECRET, webhook};
use crate::rig::support::panels::expressions;
use crate::rig::support::ports::free_port;
use crate::rig::support::process::Process;
use crate::rig::support::wait_until;
use crate::rig::{LIMIT, Rig};
use rustix::process::Signal;

/// Members, the daemon, and Prometheus. `shop` has windows when it is told; nobody ever answers in `never`. One webhook
/// takes what it is told, and nobody listens for the other one.
struct Run {
    rig: Rig,
    _webhook: Receiver,
    daemon: Process,
    prometheus: Prometheus,
}

impl Run {
    fn start() -> Self {
        let rig = Rig::with(1, "{hold: 2s, drain: 2s, max_pause: 6s}", "    objective: 1m\n    closed_budget: 10s\n");
        let told = Receiver::start(Mood::Answer(204));
        let hooks = told.webhook("told", "") + &webhook("lost", free_port(), "");
        let hooks = hooks.replace("FOLDER", &rig.folder.path().display().to_string());
        std::fs::write(rig.path("secret"), SECRET).unwrap();
        let never = format!(
            "notifications:\n  webhooks:\n{hooks}groups:\n  never:\n    schedule: {{cron: \"*/20 * * * * *\", lead: 500ms, starting_deadline: 2s}}\n    \
             window: {{hold: 2s, drain: 2s, max_pause: 6s}}\n    clusters:\n      \
             lost: {{product: custom, addresses: [\"127.0.0.1:{}\"]}}\n",
            free_port()
        );
        rig.replace("groups:\n", &never);
        let daemon = rig.daemon();
        let folder = rig.path("prometheus");
        std::fs::create_dir(&folder).unwrap();
        let prometheus = Prometheus::start(&folder, rig.http);
        Self { rig, _webhook: told, daemon, prometheus }
    }

    /// Another config, which the daemon is told of.
    fn reload(&mut self, old: &str, new: &str) {
        self.rig.replace(old, new);
        self.daemon.signal(Signal::HUP);
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
    budget_and_config(&mut run);
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

/// The windows until now took more than the budget; a config that would raise it is refused until it is mended.
fn budget_and_config(run: &mut Run) {
    run.prometheus.wait_for("BudgetSpent", "shop");
    run.prometheus.assert_silent("ConfigRefused");
    run.reload("closed_budget: 10s", "closed_budget: a lot");
    run.prometheus.wait_for("ConfigRefused", "");
    assert!(run.prometheus.firing().contains(&("StillpointBudgetSpent".into(), "shop".into())), "the old one goes on");
    run.reload("closed_budget: a lot", "closed_budget: 1h");
    run.prometheus.wait_until_resolved("ConfigRefused", "");
    run.prometheus.wait_until_resolved("BudgetSpent", "shop");
    for (more, than) in [
        ("stillpoint_config_reloads_total{outcome=\"refused\"}", "0"),
        ("stillpoint_config_reloads_total{outcome=\"applied\"}", "0"),
        ("stillpoint_notifications_total{webhook=\"told\",outcome=\"delivered\"}", "3"),
        ("stillpoint_notifications_waiting{webhook=\"lost\"}", "3"),
    ] {
        let expression = format!("{more} > {than}");
        wait_until(&expression, LIMIT, || (!run.prometheus.query(&expression).is_empty()).then_some(()));
    }
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
