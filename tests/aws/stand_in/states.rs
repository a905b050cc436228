//! States, times and lists.

use super::{LIMIT, World, code};
use crate::aws::AwsStandIn;
use crate::support::wait_until;
use aws_sdk_dynamodb::primitives::DateTime;
use aws_sdk_dynamodb::types::{BackupStatus, TableStatus};
use jiff::{SignedDuration, Timestamp};
use std::io::{Read, Write};

#[test]
fn the_latest_restorable_time_lags_and_can_be_frozen_and_set() {
    let world = World::with_table("shop.orders");
    let times = || {
        let asked = world.client.describe_continuous_backups().table_name("shop.orders").send();
        let described = world.runtime.block_on(asked).expect("it answers").continuous_backups_description;
        let times =
            described.and_then(|described| described.point_in_time_recovery_description).expect("it is described");
        let at = |time: Option<DateTime>| time.expect("it is on").to_millis().expect("it is a time");
        (at(times.earliest_restorable_date_time), at(times.latest_restorable_date_time))
    };
    let (earliest, latest) = times();
    assert_eq!(earliest, latest, "history has only begun");
    world.aws.set_earliest("shop.*", world.aws.now() - SignedDuration::from_hours(1));
    world.aws.set_lag(SignedDuration::from_secs(300));
    let (_, latest) = times();
    let behind = world.aws.now().as_millisecond() - latest;
    assert!((300_000..302_000).contains(&behind), "{behind} ms behind");
    world.aws.freeze_latest();
    let (_, frozen) = times();
    world.next_second();
    assert_eq!(times().1, frozen);
    world.aws.unfreeze_latest();
    assert!(times().1 > frozen);
    let set = world.aws.now() - SignedDuration::from_secs(7);
    world.aws.set_latest("shop.orders", set);
    let off = times().1 - set.as_millisecond();
    assert!(off.abs() <= 1, "{off} ms off, more than the SDK's rounding");
}

#[test]
fn a_backup_is_creating_then_available_and_holds_its_table_meanwhile() {
    let world = World::with_table("shop.orders");
    world.aws.stick("CreateBackup", "shop.orders");
    world.put("shop.orders", "a");
    let arn = world.back_up("shop.orders", "nightly").expect("the backup begins");
    assert_eq!(world.backup_status(&arn), Ok(BackupStatus::Creating));
    assert_eq!(world.delete("shop.orders"), Err("ResourceInUseException".into()));
    let delete =
        || world.runtime.block_on(world.client.delete_backup().backup_arn(&arn).send()).map(|_| ()).map_err(code);
    assert_eq!(delete(), Err("BackupInUseException".into()));
    world.aws.unstick();
    wait_until("the backup is there", LIMIT, || {
        (world.backup_status(&arn) == Ok(BackupStatus::Available)).then_some(())
    });
    let from_backup = world.client.restore_table_from_backup().backup_arn(&arn).target_table_name("again");
    world.runtime.block_on(from_backup.send()).expect("the restore begins");
    world.wait_active("again");
    assert_eq!(world.ids("again").len(), 1);
    assert_eq!(world.delete("shop.orders"), Ok(()));
    assert_eq!(world.status("shop.orders"), Some(TableStatus::Deleting));
    wait_until("the table is gone", LIMIT, || world.status("shop.orders").is_none().then_some(()));
    let listed = world.runtime.block_on(world.client.list_backups().send()).expect("it answers").backup_summaries;
    let names: Vec<String> = listed.unwrap_or_default().into_iter().filter_map(|backup| backup.backup_name).collect();
    assert_eq!(names, ["nightly", "shop.orders$DeletedTableBackup"]);
    assert_eq!(delete(), Ok(()));
    assert_eq!(delete(), Err("BackupNotFoundException".into()));
}

#[test]
fn lists_of_backups_come_in_pages() {
    let world = World::with_table("shop.orders");
    for name in ["one", "two", "three"] {
        world.back_up("shop.orders", name).expect("the backup begins");
    }
    let page = |from: Option<String>| {
        let list = world.client.list_backups().limit(2).set_exclusive_start_backup_arn(from);
        world.runtime.block_on(list.send()).expect("it answers")
    };
    let first = page(None);
    assert_eq!(first.backup_summaries().len(), 2);
    let second = page(first.last_evaluated_backup_arn);
    assert_eq!(second.backup_summaries().len(), 1);
    assert_eq!(second.last_evaluated_backup_arn, None);
}

#[test]
fn the_date_header_follows_the_skew() {
    let world = World::with_table("shop.orders");
    for seconds in [-20, 0, 20] {
        world.aws.set_skew(SignedDuration::from_secs(seconds));
        let off = date(&world.aws).as_second() - Timestamp::now().as_second();
        assert!((seconds - 1..=seconds).contains(&off), "{off} s off, not {seconds}");
    }
}

/// The `Date` of an answer, read without any SDK.
fn date(aws: &AwsStandIn) -> Timestamp {
    date_of(aws, "DynamoDB_20120810.ListTables", "none")
}

pub fn date_of(aws: &AwsStandIn, target: &str, access_key: &str) -> Timestamp {
    let mut stream = std::net::TcpStream::connect(aws.endpoint().trim_start_matches("http://")).expect("it listens");
    let credential =
        format!("authorization: AWS4-HMAC-SHA256 Credential={access_key}/20260101/us-east-1/dynamodb/aws4_request");
    let request = format!(
        "POST / HTTP/1.1\r\nhost: aws\r\nconnection: close\r\n{credential}\r\nx-amz-target: {target}\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let date = answer.lines().find_map(|line| line.strip_prefix("date: ")).expect("there is a date");
    jiff::fmt::rfc2822::parse(date).expect("it is one").timestamp()
}
