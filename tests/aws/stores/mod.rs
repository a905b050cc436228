//! What the stores make of AWS: each look, each clock, each call that materializing takes.

mod calls;
mod clocks;
mod databases;
mod tables;
mod thousand;

use crate::aws::{AwsStandIn, NewTable, Scope};
use crate::sdk;
use aws_sdk_dynamodb::Client;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use stillpoint::aws::Aws;
use stillpoint::config::{self, Dynamodb, Materialize, Orphans, Preflight, Prices, StoreKind};
use stillpoint::domain::{Interval, Reason};
use stillpoint::stores::{Found, Store, open};

const REGION: &str = "ap-northeast-1";
const ACCOUNTS: [&str; 2] = ["111111111111", "222222222222"];
const LIMIT: Duration = Duration::from_secs(30);

/// The stand-in, and two accounts that are known.
struct World {
    aws: AwsStandIn,
    known: Aws,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> Self {
        let aws = AwsStandIn::start();
        let known = ACCOUNTS.iter().fold(Aws::default(), |known, account| {
            known.with(&place(account), sdk::config(&aws, account, REGION), account)
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { aws, known, runtime }
    }

    fn seed(&self, account: &str, tables: &[NewTable]) {
        self.aws.seed_tables(&Scope::new(account, REGION), tables);
    }

    fn client(&self, account: &str) -> Client {
        Client::new(&sdk::config(&self.aws, account, REGION))
    }

    fn rds(&self) -> aws_sdk_rds::Client {
        aws_sdk_rds::Client::new(&sdk::config(&self.aws, ACCOUNTS[0], REGION))
    }

    fn open(&self, kind: StoreKind) -> Arc<dyn Store> {
        open(&config::Store { name: "store".to_owned(), preflight: Preflight::Refuse, kind }, &self.known)
    }

    fn tables(&self, account: &str, include: &[&str]) -> Arc<dyn Store> {
        self.open(StoreKind::Dynamodb(dynamodb(account, include)))
    }

    fn found(&self, store: &dyn Store) -> Found {
        self.runtime.block_on(store.find()).unwrap_or_else(|reason| panic!("{reason}"))
    }
}

fn place(account: &str) -> config::Aws {
    let role = format!("arn:aws:iam::{account}:role/stillpoint");
    config::Aws { region: REGION.to_owned(), role_arn: Some(role), external_id: None, endpoint: None }
}

/// Without ScalarDB's own tables.
fn dynamodb(account: &str, include: &[&str]) -> Dynamodb {
    Dynamodb {
        aws: place(account),
        include: include.iter().map(|pattern| (*pattern).to_owned()).collect(),
        exclude: Vec::new(),
        prefix: String::new(),
        coordinator: None,
        metadata: None,
        materialize: Materialize::Always,
        indexes: true,
        restores_at_once: 10,
        materialize_limit: Duration::from_secs(7200),
        orphans: Orphans::Report,
        prices: Prices { restore: 0.15, backup: 0.1 },
    }
}

fn sentences(against: &[Reason]) -> Vec<String> {
    against.iter().map(ToString::to_string).collect()
}

/// A quiet interval around now.
fn quiet() -> Interval {
    let now = Timestamp::now();
    Interval { start: now - Duration::from_secs(30), end: now + Duration::from_secs(30) }
}
