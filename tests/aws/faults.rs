//! What AWS does wrong, the window and the restore point tell.

use crate::aws::{Effect, Rule};
use crate::rig::{HERE, LIMIT, Program, Rig};
use crate::support::wait_until;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

const STORE: &str = "orders: {dynamodb: {region: ap-northeast-1, tables: {include: [\"shop.*\"]}}}";

fn rig(store: &str) -> Rig {
    let rig = Rig::new(&[store], "");
    rig.tables(HERE, &["shop.a", "shop.b", "coordinator.state", "scalardb.metadata"].map(str::to_owned));
    rig
}

fn refused(rig: &Rig, code: &str, words: &str) {
    let (exit, report, said) = rig.run(&["window", "shop", "-o", "json"]);
    assert_eq!(exit, 4, "{said}");
    assert_eq!(report["reasons"][0]["code"], code, "{said}");
    assert!(report["reasons"][0]["sentence"].as_str().unwrap().contains(words), "{words}: {said}");
    assert!(rig.members.iter().all(|member| !member.is_paused()));
}

#[test]
fn a_store_that_cannot_give_point_in_time_recovery_refuses_the_window_before_anything_is_paused() {
    let rig = rig(STORE);
    rig.aws.seed_tables(
        &crate::aws::Scope::new(HERE, crate::rig::REGION),
        &[crate::aws::NewTable::new("shop.c").without_recovery()],
    );
    refused(&rig, "store_unready", "shop.c");
    let denied = rig.aws.fault(Rule::new("DescribeContinuousBackups", Effect::Denied));
    refused(&rig, "store_unreachable", "DescribeContinuousBackups");
    rig.aws.remove_fault(denied);
    rig.aws.refuse_connections(true);
    refused(&rig, "store_unreachable", "orders");
    rig.aws.refuse_connections(false);
}

#[test]
fn clocks_that_differ_move_the_restore_point_or_discard_the_window() {
    let rig = rig(STORE);
    for (skew, fits) in [(400, true), (-400, true), (2_000, true), (20_000, false), (-20_000, false)] {
        let skew = SignedDuration::from_millis(skew);
        rig.aws.set_skew(skew);
        let (exit, report, said) = rig.run(&["window", "shop", "-o", "json"]);
        if !fits {
            assert_eq!((exit, &report["reasons"][0]["code"]), (3, &"clock_skew".into()), "{skew}: {said}");
            continue;
        }
        let at = |name: &str| report[name].as_str().map(|text| text.parse::<Timestamp>().unwrap());
        let (Some(point), Some(start), Some(end)) = (at("restore_point"), at("pause_completed"), at("unpause_started"))
        else {
            assert_eq!(report["reasons"][0]["code"], "clock_skew", "{skew}: {said}");
            continue;
        };
        // On the store's clock, a second before the point and two after it are quiet.
        let second = SignedDuration::from_secs(1);
        assert!(start + skew <= point - second, "{skew}: {said}");
        assert!(point + second + second <= end + skew, "{skew}: {said}");
    }
}

#[test]
fn a_table_that_comes_or_goes_in_the_window_discards_it_or_is_left_out() {
    for (preflight, exit) in [("refuse", 3), ("warn", 0)] {
        let rig = rig(&STORE.replace("{dynamodb", &format!("{{preflight: {preflight}, dynamodb")));
        let window = std::thread::scope(|scope| {
            let mut command = rig.command(&["window", "shop", "-o", "json"]);
            let window = scope.spawn(move || command.output().unwrap());
            wait_until("all are paused", LIMIT, || rig.members.iter().all(|it| it.is_paused()).then_some(()));
            rig.block_on(rig.client(HERE).delete_table().table_name("shop.b").send()).unwrap();
            Program::told(&window.join().unwrap())
        });
        let (code, report, said) = window;
        assert_eq!(code, exit, "{preflight}: {said}");
        if exit == 3 {
            assert_eq!(report["reasons"][0]["code"], "store_changed", "{said}");
            assert!(said.contains("shop.b"), "{said}");
        } else {
            let window = report["window"].as_str().unwrap();
            let (_, shown, said) = rig.run(&["points", "show", window, "-o", "json"]);
            let orders = &shown["stores"]["orders"];
            assert!(orders["parts"].as_array().unwrap().iter().all(|part| part["name"] != "shop.b"), "{said}");
            assert!(orders["notes"].to_string().contains("shop.b"), "{said}");
        }
    }
}

#[test]
fn recovery_that_is_switched_off_loses_the_point_at_once() {
    let rig = rig(STORE);
    rig.aws.freeze_latest();
    let _daemon = rig.daemon();
    rig.window();
    assert_eq!(rig.point()["state"], "waiting");
    use aws_sdk_dynamodb::types::PointInTimeRecoverySpecification;
    let off = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(false).build().unwrap();
    let client = rig.client(HERE);
    let switch = client.update_continuous_backups().table_name("shop.a").point_in_time_recovery_specification(off);
    rig.block_on(switch.send()).unwrap();
    let point = rig.wait_for("lost");
    assert!(point["stores"]["orders"]["reason"].as_str().unwrap().contains("shop.a"), "{point}");
}

#[test]
fn one_table_that_sticks_fails_by_itself_and_is_tried_again_when_asked() {
    let rig = rig(&STORE.replace("tables:", "materialize_limit: 10m, tables:"));
    let _daemon = rig.daemon();
    // Answers that it makes no sense: no table is begun, and the others are done.
    let fault = rig.aws.fault(
        Rule::new(
            "RestoreTableToPointInTime",
            Effect::Error { code: "InvalidRestoreTimeException".into(), status: 400 },
        )
        .target("*shop.a"),
    );
    rig.window();
    let point = rig.wait_for("failed");
    assert!(point["stores"]["orders"]["reason"].as_str().unwrap().contains("1 of 4 tables"), "{point}");
    assert_eq!(rig.backups(HERE).len(), 3);
    rig.aws.remove_fault(fault);
    let (code, _, said) = rig.run(&["points", "materialize", point["window"].as_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    rig.wait_for("materialized");
    assert!(rig.backups(HERE).values().all(|backups| backups.len() == 1));
    rig.assert_nothing_else_was_touched();
}

#[test]
fn throttling_outages_and_expired_credentials_only_take_longer() {
    let rig = rig(STORE);
    let _daemon = rig.daemon();
    for (operation, effect) in [
        ("RestoreTableToPointInTime", Effect::Throttled),
        ("CreateBackup", Effect::Down(503)),
        ("DescribeBackup", Effect::Error { code: "InternalServerError".into(), status: 500 }),
        ("DeleteTable", Effect::Expired),
        ("DescribeContinuousBackups", Effect::Hang(Duration::from_secs(1))),
        ("ListBackups", Effect::RequestLost),
    ] {
        rig.aws.fault(Rule::new(operation, effect).nth(1));
    }
    rig.window();
    wait_until("it is materialized all the same", 2 * LIMIT, || (rig.point()["state"] == "materialized").then_some(()));
    assert!(rig.backups(HERE).values().all(|backups| backups.len() == 1), "{:?}", rig.backups(HERE));
    rig.assert_nothing_else_was_touched();
}

#[test]
fn a_store_that_nothing_belongs_to_keeps_its_point_waiting_and_says_why() {
    let nothing = "orders: {preflight: warn, dynamodb: {region: ap-northeast-1, coordinator: none, metadata: none, \
                   tables: {include: [\"none.*\"]}}}";
    let rig = Rig::new(&[nothing], "");
    let _daemon = rig.daemon();
    rig.window();
    let store = wait_until("it was looked at", LIMIT, || {
        let store = rig.point()["stores"]["orders"].clone();
        store["checked"].is_string().then_some(store)
    });
    assert_eq!(store["state"], "waiting", "{store}");
    assert!(store["reason"].as_str().unwrap().contains("nothing of it belongs"), "{store}");
}
