//! DynamoDB's tables before and after a window, and while they are tracked.

use super::{ACCOUNTS, LIMIT, World, dynamodb, quiet, sentences};
use crate::aws::{Effect, NewTable, Rule};
use crate::support::wait_until;
use stillpoint::config::StoreKind;

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number:02}")).collect()
}

fn tables(names: &[String]) -> Vec<NewTable> {
    names.iter().map(|name| NewTable::new(name).with_index("by-owner")).collect()
}

/// Waits until history has a past: the store's clock is known to a fraction of a second only.
fn settle() {
    let begun = std::time::Instant::now();
    wait_until("a second has passed", LIMIT, || (begun.elapsed().as_secs() >= 1).then_some(()));
}

#[test]
fn twenty_tables_of_two_accounts_are_found_each_in_its_own() {
    let world = World::new();
    let all = [names("shop.t", 10), names("bill.t", 10)];
    for (account, names) in ACCOUNTS.iter().zip(&all) {
        world.seed(account, &tables(names));
    }
    settle();
    for ((account, names), pattern) in ACCOUNTS.iter().zip(&all).zip(["shop.*", "bill.*"]) {
        let store = world.tables(account, &[pattern]);
        let found = world.found(&*store);
        assert_eq!(sentences(&found.against), Vec::<String>::new());
        assert_eq!((found.capture.account.as_str(), found.capture.kind.as_str()), (*account, "dynamodb"));
        assert_eq!(found.capture.parts.keys().cloned().collect::<Vec<_>>(), *names);
        for (name, part) in &found.capture.parts {
            assert!(part.arn.contains(account) && part.arn.ends_with(name), "{part:?}");
            assert_eq!(part.settings["GlobalSecondaryIndexes"][0]["IndexName"], "by-owner");
            assert_eq!(part.settings["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
        }
        let after = world.runtime.block_on(store.after(&found.capture, quiet())).unwrap();
        assert_eq!((after.changed, after.gone), (Vec::new(), Vec::new()));
        let seen = world.runtime.block_on(store.look(names)).unwrap();
        for (name, seen) in seen {
            let seen = seen.unwrap();
            assert_eq!(seen.identity.as_ref(), Some(&found.capture.parts[&name].identity));
            assert!(seen.recovery && seen.earliest < seen.latest, "{seen:?}");
        }
    }
    assert!(world.aws.mutating_attempts().is_empty(), "a look changes nothing");
    assert!(world.aws.throttled().is_empty());
}

#[test]
fn tables_without_recovery_or_rights_stand_against_the_window() {
    let world = World::new();
    world.seed(ACCOUNTS[0], &[NewTable::new("shop.good"), NewTable::new("shop.off").without_recovery()]);
    settle();
    let store = world.tables(ACCOUNTS[0], &["shop.*"]);
    let against = world.found(&*store).against;
    assert_eq!(sentences(&against), ["store_unready: 1 table without point-in-time recovery: shop.off"]);
    world.aws.fault(Rule::new("DescribeTimeToLive", Effect::Denied).target("shop.good"));
    let against = sentences(&world.found(&*store).against);
    assert!(against[1].starts_with("store_unreachable: DescribeTimeToLive: AccessDeniedException: "), "{against:?}");
    assert!(against[1].ends_with("; `stillpoint iam GROUP` prints the policy it needs (shop.good)"), "{against:?}");
    world.aws.clear_faults();
    world.aws.fault(Rule::new("*", Effect::Expired));
    let reason = world.runtime.block_on(store.find()).unwrap_err();
    assert!(reason.to_string().ends_with("; look at the credentials, or the role"), "{reason}");
}

#[test]
fn what_is_created_deleted_or_made_anew_in_the_quiet_interval_is_told() {
    let world = World::new();
    world.seed(ACCOUNTS[0], &["shop.a", "shop.b", "shop.c"].map(NewTable::new));
    let store = world.tables(ACCOUNTS[0], &["shop.*"]);
    let before = world.found(&*store).capture;
    let client = world.client(ACCOUNTS[0]);
    for name in ["shop.a", "shop.b"] {
        world.runtime.block_on(client.delete_table().table_name(name).send()).unwrap();
        let there = || world.runtime.block_on(client.describe_table().table_name(name).send()).is_ok();
        wait_until("the table is gone", LIMIT, || (!there()).then_some(()));
    }
    world.seed(ACCOUNTS[0], &["shop.b", "shop.d"].map(NewTable::new));
    let after = world.runtime.block_on(store.after(&before, quiet())).unwrap();
    assert_eq!(after.gone, ["shop.a", "shop.b"]);
    let told: Vec<bool> = [
        "the table shop.a was deleted since the preflight",
        "the table shop.b was deleted and made anew at ",
        "the table shop.d was created at ",
    ]
    .iter()
    .zip(&after.changed)
    .map(|(begin, told)| told.starts_with(begin))
    .collect();
    assert_eq!(told, [true; 3], "{:?}", after.changed);
    assert!(after.changed[2].contains("in the quiet interval"), "{:?}", after.changed);
}

#[test]
fn a_look_sees_recovery_switched_off_and_a_table_that_is_gone_while_others_are_throttled() {
    let world = World::new();
    world.seed(
        ACCOUNTS[0],
        &[NewTable::new("shop.on"), NewTable::new("shop.off").without_recovery(), NewTable::new("shop.busy")],
    );
    world.aws.fault(Rule::new("DescribeContinuousBackups", Effect::Throttled).target("shop.busy"));
    let store = world.open(StoreKind::Dynamodb(dynamodb(ACCOUNTS[0], &["shop.*"])));
    let names = ["shop.on", "shop.off", "shop.busy", "shop.gone"].map(str::to_owned);
    let seen = world.runtime.block_on(store.look(&names)).unwrap();
    let seen_of = |name: &str| seen[name].clone().unwrap();
    assert!(seen_of("shop.on").recovery);
    assert_eq!((seen_of("shop.off").recovery, seen_of("shop.off").identity.is_some()), (false, true));
    assert_eq!(seen_of("shop.gone").identity, None);
    assert_eq!(seen["shop.busy"].clone().unwrap_err().kind, stillpoint::aws::FaultKind::Throttled);
}
