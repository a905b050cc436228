//! What the stand-in itself promises, by plain SDK calls.

use crate::aws::{AwsStandIn, DEFAULT_ACCOUNT, Effect, NewTable, Outcome, Rule, Scope};
use crate::sdk;
use crate::support::wait_until;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::primitives::DateTime;
use aws_sdk_dynamodb::types::{AttributeValue, BackupStatus, TableStatus};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const REGION: &str = "ap-northeast-1";
const LIMIT: Duration = Duration::from_secs(20);

/// A stand-in with one table that has point-in-time recovery, and a client of its account.
struct World {
    aws: AwsStandIn,
    scope: Scope,
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn with_table(name: &str) -> Self {
        let aws = AwsStandIn::start();
        let scope = Scope::new("111111111111", REGION);
        aws.seed_tables(&scope, &[NewTable::new(name).with_index("by-owner")]);
        let client = Client::new(&sdk::config(&aws, &scope.account, REGION));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        Self { aws, scope, client, runtime }
    }

    fn put(&self, table: &str, id: &str) {
        let put = self.client.put_item().table_name(table).item("id", AttributeValue::S(id.into()));
        self.runtime.block_on(put.send()).unwrap_or_else(|error| panic!("put {id}: {error:?}"));
    }

    fn ids(&self, table: &str) -> BTreeSet<String> {
        let scanned = self.runtime.block_on(self.client.scan().table_name(table).send());
        let items = scanned.unwrap_or_else(|error| panic!("scan {table}: {error:?}")).items.unwrap_or_default();
        items.iter().map(|item| item["id"].as_s().expect("it is text").clone()).collect()
    }

    fn status(&self, table: &str) -> Option<TableStatus> {
        let described = self.runtime.block_on(self.client.describe_table().table_name(table).send());
        described.ok().and_then(|described| described.table).and_then(|table| table.table_status)
    }

    fn wait_active(&self, table: &str) {
        wait_until("the table is ACTIVE", LIMIT, || (self.status(table) == Some(TableStatus::Active)).then_some(()));
    }

    fn restore(&self, from: &str, to: &str, at: Timestamp) -> Result<(), String> {
        let restore = self.client.restore_table_to_point_in_time().source_table_name(from).target_table_name(to);
        let restore = restore.restore_date_time(date_time(at));
        self.runtime.block_on(restore.send()).map(|_| ()).map_err(code)
    }

    fn back_up(&self, table: &str, name: &str) -> Result<String, String> {
        let create = self.client.create_backup().table_name(table).backup_name(name);
        let created = self.runtime.block_on(create.send()).map_err(code)?;
        Ok(created.backup_details.expect("a backup has details").backup_arn)
    }

    fn backup_status(&self, arn: &str) -> Result<BackupStatus, String> {
        let described = self.runtime.block_on(self.client.describe_backup().backup_arn(arn).send()).map_err(code)?;
        let details = described.backup_description.and_then(|backup| backup.backup_details);
        Ok(details.expect("a backup has details").backup_status)
    }

    fn delete(&self, table: &str) -> Result<(), String> {
        self.runtime.block_on(self.client.delete_table().table_name(table).send()).map(|_| ()).map_err(code)
    }

    /// The whole second that has just begun on the stand-in's clock.
    fn next_second(&self) -> Timestamp {
        let second = self.aws.now().as_second() + 1;
        wait_until("the next second", LIMIT, || (self.aws.now().as_second() >= second).then_some(()));
        Timestamp::from_second(second).expect("it is a time")
    }

    fn wait_restorable(&self, at: Timestamp) {
        let lag = SignedDuration::from_secs(3);
        wait_until("the time is restorable", LIMIT, || (self.aws.now() > at + lag).then_some(()));
    }
}

fn date_time(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millisecond())
}

/// The code of an error that the service answered; what else went wrong, otherwise.
fn code<E: ProvideErrorMetadata + Debug, R: Debug>(error: SdkError<E, R>) -> String {
    match error.code() {
        Some(code) => code.to_owned(),
        None => format!("{error:?}"),
    }
}

#[test]
fn a_restore_holds_exactly_the_rows_written_before_its_second() {
    let world = World::with_table("shop.orders");
    world.put("shop.orders", "before");
    let first = world.next_second();
    world.put("shop.orders", "during");
    let second = world.next_second();
    world.put("shop.orders", "after");
    let third = world.next_second();
    world.wait_restorable(third);
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
    world.wait_restorable(at);
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
    world.wait_restorable(at);
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
    let at = world.next_second();
    let refused = |from: &str, to: &str, at: Timestamp| world.restore(from, to, at).expect_err("it is refused");
    assert_eq!(refused("shop.none", "b-1", at), "TableNotFoundException");
    assert_eq!(refused("shop.plain", "b-1", at), "PointInTimeRecoveryUnavailableException");
    assert_eq!(refused("shop.orders", "shop.plain", at), "TableAlreadyExistsException");
    assert_eq!(refused("shop.orders", "b-1", at), "InvalidRestoreTimeException");
    assert_eq!(refused("shop.orders", "b-1", at - SignedDuration::from_secs(60)), "InvalidRestoreTimeException");
    world.wait_restorable(at);
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
fn a_role_of_another_account_leads_to_that_accounts_tables() {
    let world = World::with_table("shop.orders");
    let role = "arn:aws:iam::222222222222:role/stillpoint";
    world.aws.require_external_id(role, "secret");
    let assume = |external_id: &str| {
        let provider = aws_config::sts::AssumeRoleProvider::builder(role).session_name("test").external_id(external_id);
        let provider = provider.configure(&sdk::config(&world.aws, DEFAULT_ACCOUNT, "us-east-1"));
        world.runtime.block_on(async {
            let provider = provider.build().await;
            aws_sdk_dynamodb::config::ProvideCredentials::provide_credentials(&provider).await
        })
    };
    assert!(assume("wrong").is_err());
    let credentials = assume("secret").expect("the role is assumed");
    assert_eq!(world.aws.assumed_roles(), [(role.into(), "wrong".into()), (role.into(), "secret".into())]);
    let other = Client::new(&sdk::with_credentials(&world.aws, credentials, REGION));
    let names = |client: &Client| {
        world.runtime.block_on(client.list_tables().send()).expect("it answers").table_names.unwrap_or_default()
    };
    assert!(names(&other).is_empty());
    world.aws.seed_tables(&Scope::new("222222222222", REGION), &[NewTable::new("ledger.assets")]);
    assert_eq!(names(&other), ["ledger.assets"]);
    assert_eq!(names(&world.client), ["shop.orders"]);
    let elsewhere = Client::new(&sdk::config(&world.aws, "111111111111", "us-east-1"));
    assert!(names(&elsewhere).is_empty());
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
    let mut stream = std::net::TcpStream::connect(aws.endpoint().trim_start_matches("http://")).expect("it listens");
    let request = "POST / HTTP/1.1\r\nhost: aws\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let date = answer.lines().find_map(|line| line.strip_prefix("date: ")).expect("there is a date");
    jiff::fmt::rfc2822::parse(date).expect("it is one").timestamp()
}

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
