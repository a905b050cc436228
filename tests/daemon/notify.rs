//! Webhooks and heartbeats: told once it is durable, until it is taken, and never at a window's cost.

use crate::authority::Authority;
use crate::receiver::{Mood, Received, Receiver, SECRET, webhook};
use crate::rig::{LIMIT, Rig, get, read, support};
use crate::{LONG, SHORT};
use rustix::process::Signal;
use std::sync::Arc;
use std::time::Duration;
use support::ports::free_port;
use support::process::Process;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// A rig whose config has these webhooks, and more lines for its group.
fn rig(webhooks: &[String], more: &str) -> Rig {
    with(SHORT, webhooks, more)
}

fn with(window: &str, webhooks: &[String], more: &str) -> Rig {
    let rig = Rig::with(1, window, more);
    std::fs::write(rig.path("secret"), format!("{SECRET}\n")).unwrap();
    let lines = webhooks.concat().replace("FOLDER", &rig.folder.path().display().to_string());
    rig.replace("groups:\n", &format!("notifications:\n  webhooks:\n{lines}groups:\n"));
    rig
}

/// A consistent window through the daemon, as it prints it.
fn window(rig: &Rig) -> serde_json::Value {
    let (code, output, errors) = rig.run(&["window", "shop", "-o", "json"]);
    assert_eq!(code, 0, "{output}{errors}");
    Rig::json(&output)
}

fn wait_for_metric(rig: &Rig, line: &str) {
    support::wait_until(line, LIMIT, || get(rig.http, "/metrics").contains(&format!("\n{line}\n")).then_some(()));
}

fn kinds(received: &[Received]) -> Vec<String> {
    received.iter().map(Received::kind).collect()
}

fn ids(received: &[Received]) -> std::collections::BTreeSet<String> {
    received.iter().map(|request| request.id().to_owned()).collect()
}

#[test]
fn a_consistent_window_is_told_signed_with_what_the_command_prints_and_the_heart_beats() {
    let (hook, heart) = (Receiver::start(Mood::Answer(204)), Receiver::start(Mood::Answer(200)));
    let beats = format!("    heartbeat: http://127.0.0.1:{}/ping/1234\n", heart.port);
    let rig = rig(&[hook.webhook("ops", "")], &beats);
    let _daemon = rig.daemon();
    let report = window(&rig);
    let told = hook.wait_for(1).remove(0);
    let event = told.event();
    assert_eq!(told.path, "/hook?key=in-the-path");
    assert_eq!((told.kind().as_str(), &event["subject"]), ("window.consistent", &report["window"]));
    assert_eq!(event["data"], report, "the very object that the command prints");
    assert!(event["source"].as_str().unwrap().ends_with("/groups/shop"), "{event}");
    let beat = heart.wait_for(1).remove(0);
    assert_eq!((beat.method.as_str(), beat.path.as_str(), beat.body.as_str()), ("GET", "/ping/1234", ""));
    wait_for_metric(&rig, "stillpoint_notifications_total{outcome=\"delivered\",webhook=\"ops\"} 1");
    wait_for_metric(&rig, "stillpoint_heartbeats_total{group=\"shop\",outcome=\"delivered\"} 1");
    wait_for_metric(&rig, "stillpoint_notifications_waiting{webhook=\"ops\"} 0");
    assert!(!get(rig.http, "/metrics").contains("stillpoint_notification_oldest_waiting_timestamp_seconds{"));
}

#[test]
fn a_window_that_is_not_consistent_is_told_to_those_who_asked_and_no_heart_beats() {
    let (all, some, others) =
        (Receiver::start(Mood::Answer(200)), Receiver::start(Mood::Answer(200)), Receiver::start(Mood::Answer(200)));
    let heart = Receiver::start(Mood::Answer(200));
    let beats = format!("    heartbeat: http://127.0.0.1:{}/\n", heart.port);
    let hooks = [
        all.webhook("all", ""),
        some.webhook("some", ", types: [\"*.consistent\", slot.missed]"),
        others.webhook("others", ", groups: [shop], types: [io.stillpoint.window.refused]"),
    ];
    let rig = rig(&hooks, &beats);
    let _daemon = rig.daemon();
    rig.pause_as_someone_else(0);
    assert_eq!(rig.run(&["window", "shop"]).0, 4);
    assert_eq!(kinds(&all.wait_for(1)), ["window.refused"]);
    assert_eq!(kinds(&others.wait_for(1)), ["window.refused"]);
    assert_eq!(all.received()[0].event()["data"]["reasons"][0]["code"], "already_paused");
    assert!(heart.received().is_empty());
    rig.unpause_as_someone_else(0);
    window(&rig);
    assert_eq!(kinds(&all.wait_for(2)), ["window.refused", "window.consistent"]);
    assert_eq!(kinds(&some.wait_for(1)), ["window.consistent"]);
    heart.wait_for(1);
    assert_eq!((others.received().len(), heart.received().len()), (1, 1));
}

#[test]
fn a_slot_that_passed_is_told() {
    let hook = Receiver::start(Mood::Answer(200));
    let schedule = "    schedule: {cron: \"*/5 * * * * *\", lead: 500ms, starting_deadline: 1m}\n";
    let rig = rig(&[hook.webhook("ops", ", types: [\"slot.*\"]")], schedule);
    let mut daemon = rig.daemon();
    rig.wait_for_verdict("consistent");
    daemon.kill();
    let stopped = std::time::Instant::now();
    support::wait_until("slots pass", LIMIT, || (stopped.elapsed() > Duration::from_secs(7)).then_some(()));
    let _daemon = rig.daemon();
    let told = hook.wait_for(1).remove(0);
    let event = told.event();
    assert_eq!((told.kind().as_str(), &event["data"]["verdict"]), ("slot.missed", &"missed".into()));
    assert!(event["data"]["slot"].is_string(), "{event}");
}

#[test]
fn a_receiver_that_is_down_is_told_when_it_comes_back() {
    let port = free_port();
    let rig = rig(&[webhook("ops", port, "")], "");
    let _daemon = rig.daemon();
    window(&rig);
    wait_for_metric(&rig, "stillpoint_notifications_waiting{webhook=\"ops\"} 1");
    assert!(get(rig.http, "/metrics").contains("stillpoint_notification_oldest_waiting_timestamp_seconds{"));
    // Tried in vain before it is there.
    support::wait_until("a try failed", LIMIT, || {
        (!get(rig.http, "/metrics").contains("outcome=\"retried\",webhook=\"ops\"} 0")).then_some(())
    });
    let hook = Receiver::at(port, Mood::Answer(200), None);
    assert_eq!(kinds(&hook.wait_for(1)), ["window.consistent"]);
    wait_for_metric(&rig, "stillpoint_notifications_waiting{webhook=\"ops\"} 0");
}

#[test]
fn a_receiver_that_hangs_lengthens_no_window_and_holds_no_other_back() {
    let (stuck, good) = (Receiver::start(Mood::Hang), Receiver::start(Mood::Answer(200)));
    let rig = rig(&[stuck.webhook("a-stuck", ""), good.webhook("good", "")], "");
    let mut daemon = rig.daemon();
    window(&rig);
    stuck.wait_for(1);
    for told in [1, 2] {
        good.wait_for(told);
        let report = window(&rig);
        let seconds = |name: &str| report[name].as_f64().unwrap();
        // The request that hangs has ten seconds; a window that waited for it would be longer than this.
        assert!(seconds("closed_seconds") < seconds("quiet_seconds") + 5.0, "{report}");
        assert!(seconds("quiet_seconds") < 7.0, "{report}");
    }
    assert_eq!(ids(&good.wait_for(3)).len(), 3);
    assert_eq!(ids(&stuck.received()).len(), 1, "the others wait for the first");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(LIMIT).code(), Some(0), "{}", daemon.tail());
}

#[test]
fn what_is_not_taken_is_sent_again_with_the_same_id_and_redirects_lead_nowhere() {
    let (hook, elsewhere) = (Receiver::start(Mood::Answer(500)), Receiver::start(Mood::Answer(200)));
    let rig = rig(&[hook.webhook("ops", "")], "");
    let _daemon = rig.daemon();
    window(&rig);
    hook.wait_for(2);
    for mood in [Mood::Redirect(elsewhere.port), Mood::Answer(429), Mood::Answer(404)] {
        let before = hook.received().len();
        hook.set(mood);
        hook.wait_for(before + 1);
    }
    hook.set(Mood::Answer(200));
    wait_for_metric(&rig, "stillpoint_notifications_total{outcome=\"delivered\",webhook=\"ops\"} 1");
    let received = hook.received();
    assert_eq!(ids(&received).len(), 1, "{received:?}");
    assert!(received.iter().all(|request| request.body == received[0].body && request.kind() == "window.consistent"));
    assert!(elsewhere.received().is_empty());
}

#[test]
fn what_one_event_is_refused_for_holds_no_other_back() {
    let hook = Receiver::start(Mood::Answer(422));
    let rig = rig(&[hook.webhook("ops", "")], "");
    let _daemon = rig.daemon();
    window(&rig);
    let refused = hook.wait_for(3).remove(0);
    hook.set(Mood::Answer(200));
    window(&rig);
    support::wait_until("both are told", LIMIT, || (ids(&hook.received()).len() == 2).then_some(()));
    wait_for_metric(&rig, "stillpoint_notifications_total{outcome=\"delivered\",webhook=\"ops\"} 2");
    assert!(hook.received().iter().filter(|request| request.id() == refused.id()).count() >= 3);
}

#[test]
fn a_receiver_that_is_gone_for_good_is_not_asked_again() {
    let hook = Receiver::start(Mood::Answer(410));
    let rig = rig(&[hook.webhook("ops", "")], "");
    let _daemon = rig.daemon();
    window(&rig);
    wait_for_metric(&rig, "stillpoint_notifications_total{outcome=\"given_up\",webhook=\"ops\"} 1");
    wait_for_metric(&rig, "stillpoint_notifications_waiting{webhook=\"ops\"} 0");
    assert_eq!(hook.received().len(), 1);
}

#[test]
fn an_answer_that_comes_too_late_does_not_count_and_the_receiver_knows_the_id() {
    let hook = Receiver::start(Mood::Late(Duration::from_secs(11)));
    let rig = rig(&[hook.webhook("ops", "")], "");
    let _daemon = rig.daemon();
    window(&rig);
    hook.wait_for(1);
    hook.set(Mood::Answer(200));
    let received = hook.wait_for(2);
    assert_eq!(ids(&received).len(), 1);
    wait_for_metric(&rig, "stillpoint_notifications_total{outcome=\"delivered\",webhook=\"ops\"} 1");
    assert_eq!(hook.received().len(), 2);
}

#[test]
fn sigkill_between_verdict_and_delivery_is_told_after_the_start_with_the_same_id() {
    let hook = Receiver::start(Mood::Hang);
    let rig = rig(&[hook.webhook("ops", "")], "");
    let mut daemon = rig.daemon();
    window(&rig);
    let first = hook.wait_for(1).remove(0);
    daemon.kill();
    hook.set(Mood::Answer(200));
    let _daemon = rig.daemon();
    let again = hook.wait_for(2).remove(1);
    assert_eq!((again.id(), &again.body), (first.id(), &first.body));
    wait_for_metric(&rig, "stillpoint_notifications_waiting{webhook=\"ops\"} 0");
}

#[test]
fn a_window_that_a_daemon_died_over_is_told_as_discarded_by_the_next_one() {
    let hook = Receiver::start(Mood::Answer(200));
    let rig = with(LONG, &[hook.webhook("ops", "")], "");
    let mut daemon = rig.daemon();
    let _window = rig.start(&["window", "shop"]);
    rig.wait_until_paused(3);
    daemon.kill();
    let _daemon = rig.daemon();
    let told = hook.wait_for(1).remove(0);
    assert_eq!(told.kind(), "window.discarded");
    assert_eq!(told.event()["data"]["reasons"][0]["code"], "interrupted");
}

#[test]
fn a_command_without_a_daemon_tells_before_it_ends_and_waits_for_no_receiver_that_is_down() {
    let (hook, port) = (Receiver::start(Mood::Answer(200)), free_port());
    let rig = rig(&[hook.webhook("ops", ""), webhook("down", port, "")], "");
    window(&rig);
    assert_eq!(kinds(&hook.received()), ["window.consistent"], "told before it ended");
    let down = Receiver::at(port, Mood::Answer(200), None);
    let _daemon = rig.daemon();
    assert_eq!(kinds(&down.wait_for(1)), ["window.consistent"], "the next process tells the rest");
    assert_eq!(hook.received().len(), 1);
}

#[test]
fn a_pause_by_hand_is_no_window_to_tell_of() {
    let hook = Receiver::start(Mood::Answer(200));
    let rig = rig(&[hook.webhook("ops", "")], "");
    let _daemon = rig.daemon();
    assert_eq!(rig.run(&["pause", "shop"]).0, 0);
    assert_eq!(rig.run(&["unpause", "shop"]).0, 0);
    window(&rig);
    assert_eq!(kinds(&hook.wait_for(1)), ["window.consistent"]);
}

#[test]
fn a_webhook_that_left_the_config_is_struck_from_the_catalog() {
    let port = free_port();
    let rig = rig(&[webhook("ops", port, "")], "");
    let mut daemon = rig.daemon();
    window(&rig);
    wait_for_metric(&rig, "stillpoint_notifications_waiting{webhook=\"ops\"} 1");
    daemon.stop();
    rig.replace("    ops:", "    other:");
    let mut daemon = rig.daemon();
    daemon.wait_for_line("what waited for ops is not told", LIMIT);
    daemon.stop();
    rig.replace("    other:", "    ops:");
    let _daemon = rig.daemon();
    wait_for_metric(&rig, "stillpoint_notifications_waiting{webhook=\"ops\"} 0");
}

/// Everything that a person may get to see.
fn shown(rig: &Rig, daemon: &Process) -> String {
    let commands =
        [&["config", "show"][..], &["config", "check"], &["history", "-o", "json"], &["points", "-o", "json"]];
    let outputs = commands.iter().map(|arguments| rig.run(arguments)).map(|(_, output, errors)| output + &errors);
    outputs.collect::<String>() + &daemon.output() + &get(rig.http, "/metrics")
}

#[test]
fn secrets_are_in_no_log_page_or_error_and_what_is_wrong_with_one_is_told() {
    let hook = Receiver::start(Mood::Answer(500));
    let rig = rig(&[hook.webhook("ops", "")], "");
    let mut daemon = rig.daemon();
    window(&rig);
    hook.wait_for(2);
    let secret = SECRET.strip_prefix("whsec_").unwrap();
    let all = shown(&rig, &daemon);
    assert!(!all.contains(secret) && !all.contains("v1,"), "{all}");
    assert!(!daemon.output().contains("in-the-path"), "{}", daemon.tail());
    // Half of it, as by a slip of the hand.
    std::fs::write(rig.path("secret"), format!("whsec_{}", &secret[..11])).unwrap();
    daemon.stop();
    let mut daemon = rig.daemon();
    daemon.wait_for_line("secret: the secret is not whsec_ and 24 to 64 bytes in base64; they wait", LIMIT);
    assert!(!shown(&rig, &daemon).contains(&secret[..11]));
    std::fs::remove_file(rig.path("secret")).unwrap();
    daemon.stop();
    let mut daemon = rig.daemon();
    daemon.wait_for_line("secret: entity not found; they wait", LIMIT);
    // A secret that is mended is taken without a restart.
    hook.set(Mood::Answer(200));
    std::fs::write(rig.path("secret"), SECRET).unwrap();
    wait_for_metric(&rig, "stillpoint_notifications_total{outcome=\"delivered\",webhook=\"ops\"} 1");
    assert_eq!(ids(&hook.received()).len(), 1);
}

#[test]
fn a_secret_may_stand_in_a_variable_of_the_daemon() {
    let hook = Receiver::start(Mood::Answer(200));
    let rig = rig(&[hook.webhook("ops", "")], "");
    let file = format!("secret_file: {}", rig.path("secret").display());
    rig.replace(&file, "secret_env: OPS_SECRET");
    std::fs::remove_file(rig.path("secret")).unwrap();
    let mut command = rig.command(&["window", "shop"]);
    assert!(command.env("OPS_SECRET", SECRET).output().unwrap().status.success());
    assert_eq!(kinds(&hook.received()), ["window.consistent"]);
}

/// Over TLS, for `127.0.0.1`.
fn secured(authority: &Authority) -> Arc<ServerConfig> {
    let (certificate, key) = authority.issue("127.0.0.1", 2090);
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    Arc::new(builder.with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap())
}

#[test]
fn tls_is_checked_and_a_ca_that_is_mended_is_taken_without_a_restart() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let hook = Receiver::at(0, Mood::Answer(200), Some(secured(&ours)));
    let rig = rig(&[hook.webhook("ops", ", ca_file: FOLDER/ca.pem")], "");
    rig.replace("http://127.0.0.1:", "https://127.0.0.1:");
    std::fs::write(rig.path("ca.pem"), &others.pem).unwrap();
    let mut daemon = rig.daemon();
    window(&rig);
    daemon.wait_for_line("ops takes no events: 127.0.0.1:", LIMIT);
    assert!(read(&rig.path("1.log")).contains("unknown issuer"), "{}", daemon.tail());
    assert!(hook.received().is_empty(), "nothing is sent to whom we do not know");
    std::fs::write(rig.path("ca.pem"), &ours.pem).unwrap();
    assert_eq!(kinds(&hook.wait_for(1)), ["window.consistent"]);
}
