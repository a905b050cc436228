//! Rates and limits, and the log that tells of them.

use super::{World, code};
use crate::aws::Outcome;
use std::time::Duration;

#[test]
fn above_a_rate_calls_are_throttled_and_counted() {
    let world = World::with_table("shop.orders");
    world.aws.set_rate("DescribeContinuousBackups", Some(3));
    let asked = || {
        let asked = world.client.describe_continuous_backups().table_name("shop.orders").send();
        world.runtime.block_on(asked).map(|_| ()).map_err(code)
    };
    let answers: Vec<_> = (0..5).map(|_| asked()).collect();
    let throttled = Err("ThrottlingException".to_owned());
    assert_eq!(answers, [Ok(()), Ok(()), Ok(()), throttled.clone(), throttled]);
    assert_eq!(world.aws.throttled().len(), 2);
    assert_eq!(world.aws.most_within("DescribeContinuousBackups", Duration::from_secs(1)), 5);
    world.aws.set_rate("DescribeContinuousBackups", None);
    assert_eq!(asked(), Ok(()));
}

#[test]
fn the_log_tells_who_called_what_on_what_and_how_it_ended() {
    let world = World::with_table("shop.orders");
    world.put("shop.orders", "a");
    world.back_up("shop.orders", "nightly").expect("the backup begins");
    world.back_up("shop.none", "nightly").expect_err("there is no such table");
    let calls = world.aws.calls(|_| true);
    let seen: Vec<_> = calls.iter().map(|call| (call.operation.as_str(), call.mutates, call.executed)).collect();
    assert_eq!(seen, [("PutItem", false, true), ("CreateBackup", true, true), ("CreateBackup", true, false)]);
    assert_eq!(calls[1].scope, world.scope);
    assert_eq!(calls[1].access_key, "111111111111");
    assert_eq!(calls[1].targets, ["nightly", "shop.orders"]);
    assert_eq!(calls[1].text("BackupName"), "nightly");
    assert_eq!(calls[2].outcome, Outcome::Refused(400, "TableNotFoundException".into()));
    assert_eq!(world.aws.mutating_calls().len(), 1);
    world.aws.clear_log();
    assert!(world.aws.calls(|_| true).is_empty());
}
