//! Rows of a point in time, and what a restore refuses.

use super::{World, code, date_time};
use crate::aws::NewTable;
use aws_sdk_dynamodb::types::{AttributeValue, TableStatus};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn a_restore_holds_exactly_the_rows_written_before_its_second() {
    let world = World::with_table("shop.orders");
    world.put("shop.orders", "before");
    let first = world.next_second();
    world.put("shop.orders", "during");
    let second = world.next_second();
    world.put("shop.orders", "after");
    let third = world.next_second();
    world.catch_up();
    for (name, at) in [("first", first), ("second", second), ("third", third)] {
        world.restore("shop.orders", name, at).expect("the restore begins");
        world.wait_active(name);
    }
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(world.ids("first"), named(&["before"]));
    assert_eq!(world.ids("second"), named(&["before", "during"]));
    assert_eq!(world.ids("third"), named(&["before", "during", "after"]));
    assert_eq!(world.ids("shop.orders").len(), 3);
}

#[test]
fn a_restored_table_is_creating_for_a_while_and_carries_over_only_what_aws_carries_over() {
    let world = World::with_table("shop.orders");
    world.aws.set_restore_delay(Duration::from_secs(1));
    world.put("shop.orders", "a");
    let at = world.next_second();
    world.catch_up();
    world.restore("shop.orders", "b", at).expect("the restore begins");
    let describe = || world.runtime.block_on(world.client.describe_table().table_name("b").send()).map_err(code);
    let table = describe().expect("it is there").table.expect("it is described");
    assert_eq!(table.table_status, Some(TableStatus::Creating));
    let summary = table.restore_summary.expect("it says where it comes from");
    assert!(summary.restore_in_progress && summary.source_backup_arn.is_none());
    assert_eq!(summary.restore_date_time, date_time(at));
    assert!(summary.source_table_arn.is_some_and(|arn| arn.ends_with("111111111111:table/shop.orders")));
    let get = world.client.get_item().table_name("b").key("id", AttributeValue::S("a".into()));
    assert_eq!(world.runtime.block_on(get.send()).map_err(code).err().as_deref(), Some("ResourceNotFoundException"));
    assert_eq!(world.delete("b"), Err("ResourceInUseException".into()));
    assert_eq!(world.back_up("b", "too-early"), Err("TableInUseException".into()));
    world.wait_active("b");
    let table = describe().expect("it is there").table.expect("it is described");
    assert!(!table.restore_summary.expect("it still says so").restore_in_progress);
    assert_eq!(table.global_secondary_indexes.map(|indexes| indexes.len()), Some(1));
    let recovery = world.runtime.block_on(world.client.describe_continuous_backups().table_name("b").send());
    let recovery = recovery.expect("it answers").continuous_backups_description.expect("it is described");
    let recovery = recovery.point_in_time_recovery_description.expect("it is described");
    assert_eq!(recovery.point_in_time_recovery_status.map(|status| status.to_string()), Some("DISABLED".into()));
}

#[test]
fn a_restore_may_leave_the_indexes_out() {
    let world = World::with_table("shop.orders");
    let at = world.next_second();
    world.catch_up();
    let restore =
        world.client.restore_table_to_point_in_time().source_table_name("shop.orders").target_table_name("b-1");
    let restore = restore.restore_date_time(date_time(at)).set_global_secondary_index_override(Some(Vec::new()));
    world.runtime.block_on(restore.send()).expect("the restore begins");
    world.wait_active("b-1");
    let table = world.runtime.block_on(world.client.describe_table().table_name("b-1").send());
    let table = table.expect("it is there").table.expect("it is described");
    assert!(table.global_secondary_indexes.unwrap_or_default().is_empty());
    assert_eq!(
        table.billing_mode_summary.and_then(|summary| summary.billing_mode).map(|mode| mode.to_string()),
        Some("PAY_PER_REQUEST".into())
    );
}

#[test]
fn a_restore_is_refused_as_aws_refuses_it() {
    let world = World::with_table("shop.orders");
    world.aws.seed_tables(&world.scope, &[NewTable::new("shop.plain").without_recovery()]);
    world.aws.set_lag(SignedDuration::from_secs(60));
    let at = world.next_second();
    let refused = |from: &str, to: &str, at: Timestamp| world.restore(from, to, at).expect_err("it is refused");
    assert_eq!(refused("shop.none", "b-1", at), "TableNotFoundException");
    assert_eq!(refused("shop.plain", "b-1", at), "PointInTimeRecoveryUnavailableException");
    assert_eq!(refused("shop.orders", "shop.plain", at), "TableAlreadyExistsException");
    assert_eq!(refused("shop.orders", "b-1", at), "InvalidRestoreTimeException");
    assert_eq!(refused("shop.orders", "b-1", at - SignedDuration::from_secs(60)), "InvalidRestoreTimeException");
    world.catch_up();
    world.aws.set_restore_limit(1);
    world.aws.stick("Restore", "b-*");
    world.restore("shop.orders", "b-1", at).expect("the restore begins");
    assert_eq!(refused("shop.orders", "b-2", at), "LimitExceededException");
    assert_eq!(world.aws.highest_restores(), 1);
    assert_eq!(world.status("b-1"), Some(TableStatus::Creating));
    world.aws.unstick();
    world.wait_active("b-1");
}

#[test]
fn hidden_copies_are_never_listed_and_are_bounded() {
    let world = World::with_table("shop.orders");
    world.aws.keep_versions(2);
    for id in ["a", "b", "c", "d"] {
        world.put("shop.orders", id);
        world.next_second();
    }
    assert_eq!(world.aws.versions(&world.scope, "shop.orders"), 2);
    let listed = world.runtime.block_on(world.client.list_backups().send()).expect("it answers");
    assert!(listed.backup_summaries.unwrap_or_default().is_empty());
}

#[test]
fn every_way_of_writing_is_seen() {
    let world = World::with_table("shop.orders");
    let table = "shop.orders";
    let item = |id: &str| AttributeValue::S(id.to_owned());
    let put = aws_sdk_dynamodb::types::PutRequest::builder().item("id", item("batch")).build().expect("it is whole");
    let write = aws_sdk_dynamodb::types::WriteRequest::builder().put_request(put).build();
    let batch = world.client.batch_write_item().request_items(table, vec![write]);
    let put = aws_sdk_dynamodb::types::Put::builder().table_name(table).item("id", item("transaction")).build();
    let write = aws_sdk_dynamodb::types::TransactWriteItem::builder().put(put.expect("it is whole")).build();
    let transaction = world.client.transact_write_items().transact_items(write);
    let statement = world.client.execute_statement().statement("INSERT INTO \"shop.orders\" VALUE {'id': 'statement'}");
    let update = world.client.update_item().table_name(table).key("id", item("update"));
    let update = update.update_expression("SET owner_ = :o").expression_attribute_values(":o", item("me"));
    let delete = world.client.delete_item().table_name(table).key("id", item("update"));
    let mut seconds = vec![world.next_second()];
    world.runtime.block_on(batch.send()).expect("it writes");
    seconds.push(world.next_second());
    world.runtime.block_on(transaction.send()).expect("it writes");
    seconds.push(world.next_second());
    world.runtime.block_on(statement.send()).expect("it writes");
    seconds.push(world.next_second());
    world.runtime.block_on(update.send()).expect("it writes");
    seconds.push(world.next_second());
    world.runtime.block_on(delete.send()).expect("it writes");
    seconds.push(world.next_second());
    world.catch_up();
    let counts = seconds.iter().enumerate().map(|(number, second)| {
        let to = format!("at-{number}");
        world.restore(table, &to, *second).expect("the restore begins");
        world.wait_active(&to);
        world.ids(&to).len()
    });
    assert_eq!(counts.collect::<Vec<_>>(), [0, 1, 2, 3, 4, 3]);
}

#[test]
fn recovery_switched_off_and_on_begins_a_new_history() {
    let world = World::with_table("shop.orders");
    world.put("shop.orders", "a");
    let at = world.next_second();
    world.put("shop.orders", "b");
    world.catch_up();
    let switch = |on: bool| {
        let wanted =
            aws_sdk_dynamodb::types::PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(on);
        let update = world.client.update_continuous_backups().table_name("shop.orders");
        let update = update.point_in_time_recovery_specification(wanted.build().expect("it is whole"));
        world.runtime.block_on(update.send()).expect("it is switched");
    };
    switch(false);
    assert_eq!(world.restore("shop.orders", "b-1", at), Err("PointInTimeRecoveryUnavailableException".into()));
    assert_eq!(world.aws.versions(&world.scope, "shop.orders"), 0);
    switch(true);
    assert_eq!(world.restore("shop.orders", "b-1", at), Err("InvalidRestoreTimeException".into()));
}

#[test]
fn a_restore_under_a_skewed_clock_goes_by_that_clock() {
    let world = World::with_table("shop.orders");
    world.aws.set_skew(SignedDuration::from_secs(100));
    world.put("shop.orders", "before");
    let at = world.next_second();
    world.put("shop.orders", "after");
    world.catch_up();
    world.restore("shop.orders", "b-1", at).expect("the restore begins");
    world.wait_active("b-1");
    assert_eq!(world.ids("b-1"), BTreeSet::from(["before".to_owned()]));
}

#[test]
fn a_restored_table_takes_the_capacity_and_encryption_of_the_call() {
    use aws_sdk_dynamodb::types::{BillingMode, ProvisionedThroughput, SseSpecification, SseStatus};
    let world = World::with_table("shop.orders");
    world.put("shop.orders", "a");
    let at = world.next_second();
    world.put("shop.orders", "b");
    world.catch_up();
    let capacity = ProvisionedThroughput::builder().read_capacity_units(3).write_capacity_units(2).build();
    let restore =
        world.client.restore_table_to_point_in_time().source_table_name("shop.orders").target_table_name("b-1");
    let restore = restore.restore_date_time(date_time(at)).billing_mode_override(BillingMode::Provisioned);
    let restore = restore.provisioned_throughput_override(capacity.expect("it is whole"));
    let restore = restore.sse_specification_override(SseSpecification::builder().enabled(true).build());
    world.runtime.block_on(restore.send()).expect("the restore begins");
    world.wait_active("b-1");
    let table = world.runtime.block_on(world.client.describe_table().table_name("b-1").send());
    let table = table.expect("it is there").table.expect("it is described");
    let capacity = table.provisioned_throughput.expect("it has one");
    assert_eq!((capacity.read_capacity_units, capacity.write_capacity_units), (Some(3), Some(2)));
    assert_eq!(table.sse_description.and_then(|sse| sse.status), Some(SseStatus::Enabled));
    assert_eq!(table.item_count, Some(1));
}
