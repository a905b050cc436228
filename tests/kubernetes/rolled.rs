//! Pods that are deleted, drained and replaced in each phase of a window: it comes to its own end, and nothing stays
//! closed.

use crate::release::Release;
use crate::rig::{CHARTS, LIMIT, Rig, shared};
use crate::support::postgres::Postgres;
use crate::support::wait_until;
use std::time::{Duration, Instant};
use stillpoint::sim::Transaction;

const ORDERS: &str = "app.kubernetes.io/app=scalardb-cluster";

/// The daemon and its guard, ready, with two members.
fn release(name: &str) -> Release {
    let rig = Rig::new(shared(), name);
    let catalog = format!("sqlite://{}", rig.path("catalog.db").display());
    installed(rig, &catalog)
}

fn installed(rig: Rig, catalog: &str) -> Release {
    rig.release("orders", &CHARTS[0], 2);
    let mut settings = vec![format!("config.daemon.catalog={catalog}")];
    settings.extend(["hold=2s", "drain=5s", "max_pause=20s"].map(|it| format!("config.groups.shop.window.{it}")));
    let release = Release::start(rig, &settings);
    release.wait_for_leader(2);
    release
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Preflight,
    Drain,
    Hold,
    Opening,
}

/// What keeps a window in its phase.
struct Kept<'a> {
    release: &'a Release,
    member: String,
    transaction: Option<Transaction>,
}

impl Kept<'_> {
    fn let_go(self) {
        drop(self.transaction);
        self.release.rig.member(&self.member, |member| {
            member.release();
            member.refuse_unpause(0);
        });
    }
}

impl Phase {
    /// Prepares a member so that the next window stays in this phase.
    fn keep(self, release: &Release) -> Kept<'_> {
        let member = release.rig.a_pod(ORDERS);
        let mut transaction = None;
        match self {
            Self::Preflight => release.rig.member(&member, |member| member.hang()),
            Self::Drain => transaction = release.rig.member(&member, |member| member.begin_transaction()),
            Self::Opening => release.rig.member(&member, |member| member.refuse_unpause(20)),
            Self::Hold => {}
        }
        Kept { release, member, transaction }
    }

    fn wait(self, release: &Release, pauses: usize) {
        wait_until("the window is in its phase", LIMIT, || {
            let rig = &release.rig;
            let reached = match self {
                Self::Preflight => release.running(),
                Self::Drain => rig.pauses() == pauses + 2,
                Self::Hold => rig.paused() == 2,
                Self::Opening => rig.pauses() == pauses + 2 && rig.paused() == 1,
            };
            reached.then_some(())
        });
    }
}

/// In that phase of a window its pod goes; answers with the window's exit code.
fn goes(release: &Release, phase: Phase, go: impl FnOnce(&Release, &str)) -> i32 {
    let pod = release.wait_for_leader(2);
    let (kept, pauses) = (phase.keep(release), release.rig.pauses());
    let mut window = release.exec(&pod, &["window", "shop", "-o", "json"]);
    phase.wait(release, pauses);
    go(release, &pod);
    let since = Instant::now();
    // One that is refused is so although its member does not answer.
    if phase == Phase::Preflight {
        window.wait(LIMIT);
    }
    kept.let_go();
    let exit = window.wait(LIMIT).code().unwrap_or(-1);
    let ended = since.elapsed();
    let leader = release.wait_for_leader(2);
    println!(
        "{phase:?}: exit {exit} after {:.1} s, {leader} leads and all is ready after {:.1} s",
        ended.as_secs_f64(),
        since.elapsed().as_secs_f64()
    );
    assert_eq!(release.rig.paused(), 0, "{}", window.tail());
    if exit != 0 {
        println!("{}", window.tail());
    }
    exit
}

fn delete(release: &Release, pod: &str) {
    release.kubectl(&["delete", "pod", pod, "--wait=false"]);
}

#[test]
fn a_pod_that_is_deleted_lets_its_window_come_to_its_end_in_each_phase() {
    let release = release("deleted-pod");
    assert_eq!(goes(&release, Phase::Preflight, delete), 4, "nothing was closed yet");
    for phase in [Phase::Drain, Phase::Hold, Phase::Opening] {
        assert_eq!(goes(&release, phase, delete), 0, "{phase:?}");
    }
}

#[test]
fn a_drained_node_and_an_update_wait_for_the_window_and_one_pod_goes_at_a_time() {
    let release = release("drained");
    for phase in [Phase::Preflight, Phase::Drain, Phase::Hold, Phase::Opening] {
        let ends = if phase == Phase::Preflight { 4 } else { 0 };
        let drained = goes(&release, phase, |release, pod| {
            wait_until("it may be evicted", LIMIT, || release.evict(pod).ok());
            let guard = release.ready().into_iter().find(|name| name.contains("guard")).unwrap();
            let refused = release.evict(&guard).unwrap_err();
            assert!(refused.contains("disruption budget"), "{refused}");
        });
        assert_eq!(drained, ends, "drained in {phase:?}");
        let updated = goes(&release, phase, |release, _| {
            release.kubectl(&["rollout", "restart", "statefulset/sp-stillpoint", "deployment/sp-stillpoint-guard"]);
        });
        assert_eq!(updated, ends, "updated in {phase:?}");
    }
}

#[test]
fn a_pod_that_is_gone_by_force_leaves_its_members_to_the_guard() {
    let release = release("forced");
    let pod = release.wait_for_leader(2);
    let mut window = release.exec(&pod, &["window", "shop", "-o", "json"]);
    Phase::Hold.wait(&release, 0);
    release.kubectl(&["delete", "pod", &pod, "--grace-period=0", "--force"]);
    window.wait(LIMIT);
    let leader = release.wait_for_leader(2);
    wait_until("all are open", LIMIT, || (release.rig.paused() == 0).then_some(()));
    wait_until("it is discarded", LIMIT, || (release.newest(&leader)["verdict"] == "discarded").then_some(()));
    assert!(release.newest(&leader)["restore_point"].is_null());
}

#[test]
fn two_daemons_on_postgresql_relieve_each_other_whatever_ends_the_leader() {
    let folder = tempfile::tempdir().unwrap();
    let database = Postgres::start_with("catalog", folder.path(), &["fsync=on"]);
    let release = installed(Rig::new(shared(), "replicas"), &database.url("postgres"));
    let updated = goes(&release, Phase::Hold, |release, _| {
        release.kubectl(&["rollout", "restart", "deployment/sp-stillpoint"]);
    });
    assert_eq!(updated, 0);
    release.kubectl(&["rollout", "status", "deployment/sp-stillpoint", "--timeout=60s"]);
    let drained = goes(&release, Phase::Drain, |release, pod| {
        wait_until("it may be evicted", LIMIT, || release.evict(pod).ok());
    });
    assert_eq!(drained, 0);

    let pod = release.wait_for_leader(2);
    let mut window = release.exec(&pod, &["window", "shop", "-o", "json"]);
    Phase::Hold.wait(&release, 0);
    release.kubectl(&["delete", "pod", &pod, "--grace-period=0", "--force"]);
    let since = Instant::now();
    wait_until("all are open", LIMIT, || (release.rig.paused() == 0).then_some(()));
    println!("its leader is gone by force in the hold: all open after {:.2} s", since.elapsed().as_secs_f64());
    assert!(since.elapsed() < Duration::from_secs(8), "{:?}", since.elapsed());
    window.wait(LIMIT);
    let leader = release.wait_for_leader(2);
    wait_until("it is discarded", LIMIT, || (release.newest(&leader)["verdict"] == "discarded").then_some(()));
    assert!(release.newest(&leader)["restore_point"].is_null());
}
