//! What the stand-in itself promises, by plain SDK calls.

use crate::aws::{AwsStandIn, NewTable, Scope};
use crate::sdk;
use crate::support::wait_until;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::primitives::DateTime;
use aws_sdk_dynamodb::types::{AttributeValue, BackupStatus, TableStatus};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

mod accounts;
mod databases;
mod faults;
mod limits;
mod restores;
mod scale;
mod states;

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

    /// Everything until now is restorable from here on.
    fn catch_up(&self) {
        self.aws.set_lag(SignedDuration::ZERO);
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
