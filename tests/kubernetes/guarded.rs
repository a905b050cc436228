//! One daemon on SQLite, and a guard beside it: whatever becomes of the daemon in its hold, nothing stays closed.

use crate::rig::{CHARTS, LIMIT, Line, Rig, shared};
use crate::support::ports::free_port;
use crate::support::process::Process;
use crate::support::wait_until;
use rustix::process::Signal;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const ORDERS: &str = "app.kubernetes.io/app=scalardb-cluster";
const CLUSTERS: [(&str, &str); 1] = [("orders", "product: scalardb-cluster, kubernetes: {PLACE, release: orders}")];
const OPEN_WINDOWS: &str = "stillpoint.scalar-labs.com/open-windows";
/// A short drain: so much less a guard looks on.
const LONG: &str = "{hold: 20s, drain: 500ms, max_pause: 30s}";
/// Shorter than by default, for the tests' sake.
const QUICK: &str = "lasts: 4s, retry: 500ms";

/// Two members, a config with a Lease, the daemon that holds it, and a guard.
struct Guarded {
    rig: Rig,
    daemon: Process,
    guard: Process,
    /// Where the guard serves its pages.
    http: u16,
}

impl Guarded {
    fn new(name: &str, window: &str, terms: &str) -> Self {
        Self::reaching(name, window, terms, |_, kubeconfig| kubeconfig)
    }

    /// The same with another way to the API server.
    fn reaching(name: &str, window: &str, terms: &str, way: impl FnOnce(&Rig, PathBuf) -> PathBuf) -> Self {
        let rig = Rig::new(shared(), name);
        rig.release("orders", &CHARTS[0], 2);
        let kubeconfig = way(&rig, rig.api.account(name, "stillpoint"));
        rig.configure(&kubeconfig, window, "", &CLUSTERS);
        let place = format!("kubeconfig: {}, namespace: {name}, name: leader", kubeconfig.display());
        rig.replace("http: none", &format!("http: none, leadership: {{kubernetes: {{{place}}}, {terms}}}"));
        rig.grant();
        let http = free_port();
        let (daemon, guard) = (rig.start(&["run"]), guard(&rig, http));
        let it = Self { rig, daemon, guard, http };
        wait_until("it leads", LIMIT, || it.holder().filter(|holder| !holder.is_empty()));
        wait_until("it is asked", LIMIT, || it.rig.path("catalog.sock").exists().then_some(()));
        it
    }

    fn quick(name: &str) -> Self {
        Self::new(name, LONG, QUICK)
    }

    /// What the guard serves at that path: status and page.
    fn page(&self, path: &str) -> (String, String) {
        let url = format!("http://127.0.0.1:{}/{path}", self.http);
        let output = Command::new("curl").args(["-sS", "-m", "5", "-w", "%{http_code}", &url]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (page, status) = text.split_at(text.len().saturating_sub(3));
        (status.to_owned(), page.to_owned())
    }

    /// What kubectl shows of the Lease; none: it is not there.
    fn lease(&self, path: &str) -> Option<String> {
        let path = format!("jsonpath={path}");
        self.rig.api.try_kubectl(&["-n", &self.rig.namespace, "get", "lease", "leader", "-o", &path]).ok()
    }

    fn holder(&self) -> Option<String> {
        self.lease("{.spec.holderIdentity}")
    }

    /// The windows that stand on the Lease.
    fn on_the_lease(&self) -> Vec<Value> {
        let path = format!("{{.metadata.annotations.{}}}", OPEN_WINDOWS.replace('.', "\\."));
        serde_json::from_str(&self.lease(&path).unwrap_or_default()).unwrap_or_default()
    }

    fn wait_until_open(&self) -> Instant {
        wait_until("all are open", LIMIT, || (self.rig.paused() == 0).then(Instant::now))
    }

    fn wait_until_struck(&self) {
        wait_until("it is struck and let go", LIMIT, || {
            (self.on_the_lease().is_empty() && self.holder().as_deref() == Some("")).then_some(())
        });
    }

    /// No window of this catalog may have a restore point.
    fn assert_no_point(&self) {
        assert!(self.rig.newest()["restore_point"].is_null(), "{}", self.rig.newest());
    }
}

fn guard(rig: &Rig, http: u16) -> Process {
    let mut guard = rig.command(&["guard"]);
    guard.env("STILLPOINT__DAEMON__HTTP", format!("127.0.0.1:{http}"));
    Process::start("guard", &guard, &rig.path(&format!("guard-{}.log", free_port())))
}

#[test]
fn what_a_killed_daemon_had_closed_is_open_within_the_lease_and_a_retry_and_kubectl_saw_it() {
    let (lasts, retry, fan_out) = (Duration::from_secs(6), Duration::from_secs(1), Duration::from_secs(1));
    let mut it = Guarded::new("killed", LONG, "lasts: 6s, retry: 1s");
    let mut window = it.rig.hold();
    let open = it.on_the_lease();
    assert_eq!((open.len(), &open[0]["group"]), (1, &Value::from("shop")));
    assert_eq!(open[0]["members"].as_array().unwrap().len(), 2, "{open:?}");
    it.daemon.kill();
    let died = Instant::now();
    let took = it.wait_until_open() - died;
    println!("killed in the hold: all open after {:.2} s; the lease lasts {lasts:?}", took.as_secs_f64());
    assert!(took <= lasts + retry + fan_out, "{took:?}");
    it.wait_until_struck();
    window.wait(LIMIT);
    let _again = it.rig.start(&["run"]);
    wait_until("it is discarded", LIMIT, || (it.rig.newest()["verdict"] == "discarded").then_some(()));
    it.assert_no_point();
    assert_eq!(it.rig.paused(), 0);
    assert!(it.guard.is_running(), "{}", it.guard.tail());
}

#[test]
fn a_daemon_that_was_stopped_over_its_hold_finds_it_opened_and_records_nothing() {
    let mut it = Guarded::quick("stopped");
    let window = it.rig.hold();
    it.daemon.signal(Signal::STOP);
    let stopped = Instant::now();
    let took = it.wait_until_open() - stopped;
    println!("stopped in the hold: all open after {:.2} s; the lease lasts 4 s", took.as_secs_f64());
    it.daemon.signal(Signal::CONT);
    let (exit, code, sentence) = it.rig.ended(window);
    println!("the daemon that woke up: {code}: {sentence}");
    assert_eq!((exit, it.rig.paused()), (3, 0), "{code}: {sentence}");
    assert_eq!(it.daemon.wait(LIMIT).code(), Some(1), "{}", it.daemon.tail());
    it.wait_until_struck();
    it.assert_no_point();
}

#[test]
fn a_lease_that_is_deleted_in_the_hold_is_made_again_and_a_guard_that_is_ready_leaves_the_window_alone() {
    let mut it = Guarded::new("deleted-lease", "{hold: 5s, drain: 500ms, max_pause: 20s}", QUICK);
    let window = it.rig.hold();
    let held = Instant::now();
    it.rig.kubectl(&["delete", "lease", "leader"]);
    wait_until("it stands again, with the window", LIMIT, || (it.on_the_lease().len() == 1).then_some(()));
    let (exit, code, sentence) = it.rig.ended(window);
    assert_eq!((exit, it.rig.paused()), (0, 0), "{code}: {sentence}");
    assert!(it.rig.first_unpause().unwrap() - held > Duration::from_millis(3_500), "it was held");
    wait_until("it is struck", LIMIT, || it.on_the_lease().is_empty().then_some(()));
    assert_eq!(it.page("readyz").0, "200", "{}", it.page("readyz").1);
    let metrics = it.page("metrics").1;
    assert!(
        metrics.contains("stillpoint_role{role=\"guard\"} 1") && metrics.contains("stillpoint_ready 1"),
        "{metrics}"
    );
    it.guard.signal(Signal::TERM);
    assert_eq!(it.guard.wait(LIMIT).code(), Some(0), "{}", it.guard.tail());
    assert!(
        it.holder().is_some_and(|holder| !holder.is_empty() && !holder.starts_with("guard-")),
        "the daemon's still"
    );
}

#[test]
fn a_daemon_that_loses_the_api_server_in_its_hold_opens_by_itself_and_the_guard_tidies_up() {
    let mut line = None;
    let mut it = Guarded::reaching("no-api", LONG, QUICK, |rig, kubeconfig| {
        let port = line.insert(Line::to(rig.api.port())).port();
        rig.api.through(&kubeconfig, port)
    });
    let (line, window) = (line.unwrap(), it.rig.hold());
    let gone = Instant::now();
    line.refuse(true);
    let took = it.wait_until_open() - gone;
    println!("without the API server: all open after {:.2} s; the lease lasts 4 s", took.as_secs_f64());
    assert!(took < Duration::from_secs(4), "before anybody else may lead: {took:?}");
    let (exit, code, sentence) = it.rig.ended(window);
    assert_eq!(exit, 3, "{code}: {sentence}");
    assert_eq!(it.daemon.wait(LIMIT).code(), Some(1), "{}", it.daemon.tail());
    line.refuse(false);
    it.wait_until_struck();
    assert_eq!(it.rig.paused(), 0);
    it.assert_no_point();
}

#[test]
fn a_guard_that_dies_over_its_opening_is_followed_by_the_next_one_which_ends_when_all_is_open() {
    let mut it = Guarded::quick("relieved");
    let pod = it.rig.a_pod(ORDERS);
    it.rig.hold();
    it.rig.member(&pod, |member| member.hang());
    it.daemon.kill();
    wait_until("one is open", LIMIT, || (it.rig.paused() == 1).then_some(()));
    it.guard.kill();
    assert_eq!(it.on_the_lease().len(), 1, "it stands there as long as something is closed");
    it.guard = guard(&it.rig, it.http);
    let doubtful = "members_doubtful{group=\"shop\"} 1";
    wait_until("it opens", LIMIT, || it.page("metrics").1.contains(doubtful).then_some(()));
    it.guard.signal(Signal::TERM);
    it.guard.wait_for_line("told to end", LIMIT);
    assert!(it.guard.is_running());
    it.rig.member(&pod, |member| member.release());
    assert_eq!(it.guard.wait(LIMIT).code(), Some(0), "{}", it.guard.tail());
    assert_eq!((it.rig.paused(), it.on_the_lease().len(), it.holder().as_deref()), (0, 0, Some("")));
}

#[test]
fn a_member_that_does_not_open_keeps_no_daemon_from_leading() {
    let mut it = Guarded::quick("stuck");
    let pod = it.rig.a_pod(ORDERS);
    it.rig.hold();
    it.rig.member(&pod, |member| member.hang());
    it.daemon.kill();
    wait_until("the guard holds it", LIMIT, || it.holder().filter(|holder| holder.starts_with("guard-")));
    it.daemon = it.rig.start(&["run"]);
    wait_until("the daemon holds it", LIMIT, || {
        it.holder().filter(|holder| !holder.is_empty() && !holder.starts_with("guard-"))
    });
    assert_eq!(it.on_the_lease().len(), 1, "it stands there as long as something is closed");
    it.rig.member(&pod, |member| member.release());
    it.wait_until_open();
    wait_until("it is struck", LIMIT, || it.on_the_lease().is_empty().then_some(()));
    it.assert_no_point();
}

#[test]
fn a_guard_without_a_lease_is_told_what_it_needs() {
    let rig = Rig::new(shared(), "leaseless");
    rig.config(LONG, "", &CLUSTERS);
    let (exit, _, errors) = rig.run(&["guard"]);
    assert_eq!(exit, 2);
    assert!(errors.contains("a guard needs daemon.leadership.kubernetes"), "{errors}");
}
