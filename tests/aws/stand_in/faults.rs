//! What goes wrong, as a client sees it.

use super::{LIMIT, REGION, World, code};
use crate::aws::{Effect, Outcome, Rule};
use crate::sdk;
use crate::support::wait_until;
use jiff::SignedDuration;
use std::time::{Duration, Instant};

#[test]
fn a_lost_reply_is_executed_and_a_lost_request_is_not() {
    let world = World::with_table("shop.orders");
    world.aws.fault(Rule::new("CreateBackup", Effect::ReplyLost).target("shop.*").nth(1));
    world.aws.fault(Rule::new("CreateBackup", Effect::RequestLost).nth(2));
    assert!(world.back_up("shop.orders", "first").is_err());
    assert!(world.back_up("shop.orders", "second").is_err());
    world.back_up("shop.orders", "third").expect("no fault is left");
    let listed = world.runtime.block_on(world.client.list_backups().send()).expect("it answers").backup_summaries;
    let names: Vec<String> = listed.unwrap_or_default().into_iter().filter_map(|backup| backup.backup_name).collect();
    assert_eq!(names, ["first", "third"]);
    let calls = world.aws.calls(|entry| entry.is("CreateBackup"));
    let seen: Vec<(bool, bool)> = calls.iter().map(|call| (call.outcome == Outcome::Cut, call.executed)).collect();
    assert_eq!(seen, [(true, true), (true, false), (false, true)]);
    assert_eq!(world.aws.mutating_calls().len(), 2);
    assert_eq!(world.aws.count("CreateBackup", "second"), 1);
}

#[test]
fn a_late_request_lands_after_its_client_was_cut_off() {
    let world = World::with_table("shop.orders");
    world.aws.fault(Rule::new("CreateBackup", Effect::Late(Duration::from_millis(500))));
    assert!(world.back_up("shop.orders", "late").is_err());
    assert!(world.aws.mutating_calls().is_empty());
    wait_until("the request lands", LIMIT, || (world.aws.mutating_calls().len() == 1).then_some(()));
}

#[test]
fn a_hanging_call_is_executed_and_answered_at_last() {
    let world = World::with_table("shop.orders");
    world.aws.fault(Rule::new("CreateBackup", Effect::Hang(Duration::from_millis(500))));
    let begun = Instant::now();
    world.back_up("shop.orders", "slow").expect("it is answered");
    assert!(begun.elapsed() >= Duration::from_millis(500));
}

#[test]
fn errors_speak_each_services_protocol() {
    let world = World::with_table("shop.orders");
    let rds = aws_sdk_rds::Client::new(&sdk::config(&world.aws, &world.scope.account, REGION));
    let internal = Effect::Error { code: "InternalServerError".into(), status: 500 };
    let cases = [
        (Effect::Throttled, "ThrottlingException", "Throttling"),
        (Effect::Expired, "ExpiredTokenException", "ExpiredToken"),
        (Effect::Denied, "AccessDeniedException", "AccessDenied"),
        (internal, "InternalServerError", "InternalServerError"),
    ];
    for (effect, json, query) in cases {
        world.aws.fault(Rule::new("*", effect));
        assert_eq!(world.back_up("shop.orders", "first"), Err(json.into()));
        let described = world.runtime.block_on(rds.describe_db_instances().send()).map(|_| ()).map_err(code);
        assert_eq!(described, Err(query.into()));
        world.aws.clear_faults();
    }
    assert!(world.aws.mutating_calls().is_empty());
    assert_eq!(world.aws.mutating_attempts().len(), 4);
    assert_eq!(world.aws.throttled().len(), 2);
}

#[test]
fn an_outage_hits_its_service_or_region_only() {
    let world = World::with_table("shop.orders");
    let rds = aws_sdk_rds::Client::new(&sdk::config(&world.aws, &world.scope.account, REGION));
    let rule = world.aws.fault(Rule::new("*", Effect::Down(503)).service("dynamodb").region(REGION));
    assert_eq!(world.status("shop.orders"), None);
    world.runtime.block_on(rds.describe_db_instances().send()).expect("RDS is there");
    assert_eq!(world.aws.fault_seen(rule), 1);
    let down = world.aws.calls(|entry| entry.is("DescribeTable"));
    assert_eq!(down[0].outcome, Outcome::Refused(503, String::new()));
    world.aws.remove_fault(rule);
    assert!(world.status("shop.orders").is_some());
}

#[test]
fn connections_are_refused_while_the_endpoint_is_closed() {
    let world = World::with_table("shop.orders");
    world.put("shop.orders", "a");
    world.aws.refuse_connections(true);
    assert_eq!(world.status("shop.orders"), None);
    world.aws.refuse_connections(false);
    assert!(world.status("shop.orders").is_some());
    assert_eq!(world.aws.count("DescribeTable", "shop.orders"), 1, "the refused one never arrived");
}

#[test]
fn a_rule_may_skew_the_date_of_its_calls_only() {
    let world = World::with_table("shop.orders");
    world
        .aws
        .fault(Rule::new("ListTables", Effect::SkewedDate(SignedDuration::from_secs(20))).access_key("111111111111"));
    let answered = |operation: &str| {
        let target = format!("DynamoDB_20120810.{operation}");
        super::states::date_of(&world.aws, &target, "111111111111").as_second() - jiff::Timestamp::now().as_second()
    };
    assert!(answered("ListTables") >= 19);
    assert!(answered("DescribeLimits") <= 0);
}
