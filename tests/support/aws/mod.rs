//! A stand-in for AWS: a reverse proxy in front of a real moto server, which behaves like AWS where moto does not.
//!
//! `let aws = AwsStandIn::start();`, then any SDK with `aws.endpoint()`, one address for all services, accounts and
//! regions. The account is that of the role a session was assumed for; an access key of twelve digits is an account by
//! itself; every other key is account 123456789012. It lives in the test process, on a thread of its own, and ends with
//! the value.
//!
//! **moto's**: tables, rows, indexes, tags, TTL, streams, encryption, auto scaling, EKS, tagging, STS sessions, every
//! setting of RDS and Aurora, all parsing and all checks of parameters. Signatures are checked by nobody.
//!
//! **Changed by the stand-in**
//! - The `Date` header, and its own idea of now, are skewed as told. It has whole seconds, as AWS's has.
//! - DynamoDB: earliest and latest restorable times; a restore holds exactly the rows written before its second (by
//!   copies taken before the first write in each second, hidden from all lists; writes through the proxy only), takes a
//!   while, says what it was restored from, has a `TableId`, leaves indexes out, takes over the capacity and encryption of the call or
//!   of the source as it is now; its errors are AWS's. Tables are CREATING and DELETING for a while, backups CREATING,
//!   or for ever; meanwhile they refuse what AWS refuses. `ListBackups` has pages and filters. Sizes are a hundred bytes
//!   a row. A deleted table with point-in-time recovery leaves its `$DeletedTableBackup`.
//! - RDS and Aurora: earliest and latest restorable times (none while retention is 0 and while a restore runs),
//!   RestoreWindow, `creating` for a while, restores validated against those times, and against both or neither of
//!   time and `UseLatestRestorableTime`. The log has the parameters of every call.
//! - UpdateTable, UpdateTimeToLive and tagging refuse a table that is being made or deleted; AWS does not document it
//!   for tagging.
//! - Rates for each account, region and operation of DynamoDB; limits of concurrent restores and table operations.
//! - Faults by rule, see [`Effect`]; an external id that a role asks for.
//!
//! **Done by neither**: rights (only `Effect::Denied`), expiry of sessions (only `Effect::Expired`), capacity and
//! hot partitions, the six hours that sizes and counts lag behind, UPDATING tables, replicas, TTL deleting rows,
//! cool-down of TTL changes, KMS, local indexes that a restore leaves out (they only vanish from descriptions), rows of RDS and Aurora (no database runs), stuck or failed restores of those, restores
//! by resource id or from retained automated backups, storage, prices. Creation times in moto's own answers (RDS, STS's
//! expiry) are of the machine's clock. Cutting a service off looks like a connection that is closed without an answer;
//! a refused connection is for the whole endpoint ([`AwsStandIn::refuse_connections`]). A restore's history has the
//! stand-in's whole seconds; a clock set back stays in the second of the last write, as far as history goes. At most
//! `keep_versions` copies are kept a table (64); a restore to before them is a `StandInFailure`, with status 500, which
//! nothing in AWS is called.

#![allow(dead_code, reason = "each test uses its own part")]

mod answer;
mod backups;
mod call;
mod clock;
mod dynamodb;
mod faults;
mod history;
mod limits;
mod log;
mod proxy;
mod rds;
mod restores;
mod seed;
mod stand;
mod xml;

pub use call::{DEFAULT_ACCOUNT, Scope};
pub use faults::{Effect, Rule};
pub use log::{Entry, Outcome};
pub use seed::NewTable;

use crate::support::process::{Process, wait_while_running};
use crate::support::{ports, tools};
use axum::body::Body;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use jiff::{SignedDuration, Timestamp};
use stand::Stand;
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use wildmatch::WildMatch;

const START_LIMIT: Duration = Duration::from_secs(60);

/// See the module.
pub struct AwsStandIn {
    stand: Arc<Stand>,
    port: u16,
    open: watch::Sender<bool>,
    runtime: Option<Runtime>,
    moto: Process,
    _folder: tempfile::TempDir,
}

/// Starting and reaching it.
impl AwsStandIn {
    /// Starts moto and the proxy, each on a free port of loopback, and waits until both answer.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let moto_port = ports::free_port();
        let mut command = Command::new(tools::program("python3"));
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &moto_port.to_string()]);
        command
            .env("PYTHONPATH", tools::moto_packages())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(folder.path());
        let mut moto = Process::start("moto", &command, &folder.path().join("moto.log"));
        wait_while_running(&mut moto, START_LIMIT, |_| TcpStream::connect((Ipv4Addr::LOCALHOST, moto_port)).ok());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("aws").enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
        let stand = Arc::new(Stand::new(moto_port, client));
        let (open, opened) = watch::channel(true);
        let port = ports::free_port();
        runtime.spawn(proxy::serve(Arc::clone(&stand), port, opened));
        wait_while_running(&mut moto, START_LIMIT, |_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
        Self { stand, port, open, runtime: Some(runtime), moto, _folder: folder }
    }

    /// The address of every service.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The address of moto itself, past everything that the stand-in does: to measure by.
    pub fn moto_endpoint(&self) -> String {
        self.stand.moto().into()
    }

    /// The process id of moto, to measure it.
    pub fn moto_id(&self) -> u32 {
        self.moto.id()
    }

    /// A role of an account asks for this external id; without it, it is refused.
    pub fn require_external_id(&self, role_arn: &str, external_id: &str) {
        self.stand.settings().external_ids.insert(role_arn.into(), external_id.into());
    }

    /// Makes tables past the log and the limits, several at a time, and returns when all are there.
    pub fn seed_tables(&self, scope: &Scope, tables: &[NewTable]) {
        self.runtime().block_on(seed::tables(&self.stand, scope, tables));
    }

    /// How many hidden copies of a table there are now.
    pub fn versions(&self, scope: &Scope, table: &str) -> usize {
        let region = self.stand.region(scope);
        let region = self.runtime().block_on(region.lock());
        region.tables.get(table).and_then(|table| table.pitr.as_ref()).map_or(0, history::Pitr::count)
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it runs until it is dropped")
    }
}

/// The clock.
impl AwsStandIn {
    /// The stand-in's now.
    pub fn now(&self) -> Timestamp {
        self.stand.settings().clock.now()
    }

    /// Its clock is ahead of the machine's by so much; behind, when negative.
    pub fn set_skew(&self, skew: SignedDuration) {
        self.stand.settings().clock.set_skew(skew);
    }

    /// How far the latest restorable time is behind (2 s).
    pub fn set_lag(&self, lag: SignedDuration) {
        self.stand.settings().clock.set_lag(lag);
    }

    /// The latest restorable time stays where it is now.
    pub fn freeze_latest(&self) {
        self.stand.settings().clock.freeze();
    }

    /// It goes on, from where it would have been.
    pub fn unfreeze_latest(&self) {
        self.stand.settings().clock.unfreeze();
    }

    /// The earliest restorable time of the tables, instances and clusters whose name matches.
    pub fn set_earliest(&self, glob: &str, at: Timestamp) {
        self.stand.settings().clock.fix_earliest(glob, at);
    }

    /// The latest restorable time of the tables, instances and clusters whose name matches.
    pub fn set_latest(&self, glob: &str, at: Timestamp) {
        self.stand.settings().clock.fix_latest(glob, at);
    }

    /// Takes back what the two above have set.
    pub fn reset_times(&self) {
        self.stand.settings().clock.release();
    }
}

/// Delays, stuck states and limits.
impl AwsStandIn {
    /// How long a table that is created is CREATING (not at all).
    pub fn set_create_delay(&self, delay: Duration) {
        self.stand.settings().pace.create_table = delay;
    }

    /// How long a restored table is CREATING (0.3 s).
    pub fn set_restore_delay(&self, delay: Duration) {
        self.stand.settings().pace.restore = delay;
    }

    /// How long a backup is CREATING (0.2 s).
    pub fn set_backup_delay(&self, delay: Duration) {
        self.stand.settings().pace.backup = delay;
    }

    /// How long a table is DELETING (0.2 s).
    pub fn set_delete_delay(&self, delay: Duration) {
        self.stand.settings().pace.delete_table = delay;
    }

    /// How long a restored instance or cluster is `creating` (0.3 s).
    pub fn set_database_delay(&self, delay: Duration) {
        self.stand.settings().pace.database = delay;
    }

    /// `CreateBackup` (glob of the table or the backup), `Restore` (of the target), `CreateTable` or `DeleteTable`
    /// never ends, begun before or from now on.
    pub fn stick(&self, operation: &str, glob: &str) {
        assert!(
            ["CreateBackup", "Restore", "CreateTable", "DeleteTable"].contains(&operation),
            "nothing sticks in {operation}"
        );
        self.stand.settings().pace.stuck.push((operation.into(), WildMatch::new(glob)));
    }

    /// What was stuck is done.
    pub fn unstick(&self) {
        self.stand.settings().pace.stuck.clear();
    }

    /// A table that would be ACTIVE says this instead, such as INACCESSIBLE_ENCRYPTION_CREDENTIALS.
    pub fn set_table_status(&self, glob: &str, status: &str) {
        self.stand.settings().pace.statuses.insert(0, (WildMatch::new(glob), status.into()));
    }

    /// How many copies are kept of a table's rows (64).
    pub fn keep_versions(&self, most: usize) {
        self.stand.settings().pace.versions = most;
    }

    /// Calls a second of an operation of DynamoDB, in each account's region; `None` is no limit.
    pub fn set_rate(&self, operation: &str, rate: Option<usize>) {
        self.stand.settings().limits.set(operation, rate);
    }

    /// Restores at once in each account's region (50).
    pub fn set_restore_limit(&self, most: usize) {
        self.stand.settings().limits.restores = most;
    }

    /// Tables that are created and deleted at once in each account's region (500).
    pub fn set_table_operations_limit(&self, most: usize) {
        self.stand.settings().limits.table_operations = most;
    }
}

/// Faults.
impl AwsStandIn {
    /// Adds a rule; its number is for the two below.
    pub fn fault(&self, rule: Rule) -> u64 {
        self.stand.settings().faults.add(rule)
    }

    pub fn remove_fault(&self, number: u64) {
        self.stand.settings().faults.remove(number);
    }

    /// How many calls matched the rule, whether it acted on them or not.
    pub fn fault_seen(&self, number: u64) -> u64 {
        self.stand.settings().faults.seen(number)
    }

    pub fn clear_faults(&self) {
        self.stand.settings().faults.clear();
    }

    /// The whole endpoint refuses connections, and those that are there are cut; or it listens again.
    pub fn refuse_connections(&self, refuse: bool) {
        self.open.send_replace(!refuse);
        let done = || TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() == refuse;
        crate::support::wait_until("the endpoint opens or closes", START_LIMIT, || done().then_some(()));
    }
}

/// The log.
impl AwsStandIn {
    /// The calls that `wanted` is true for, in the order of their arrival.
    pub fn calls(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        self.stand.log().entries.iter().filter(|entry| wanted(entry)).cloned().collect()
    }

    /// How often that was called, with whatever outcome.
    pub fn count(&self, operation: &str, target: &str) -> usize {
        self.stand.log().entries.iter().filter(|entry| entry.is(operation) && entry.is_about(target)).count()
    }

    /// The calls that changed something in AWS, but rows: those that took effect, whatever the client was told.
    pub fn mutating_calls(&self) -> Vec<Entry> {
        self.calls(|entry| entry.mutates && entry.executed)
    }

    /// The calls that would have changed something, executed or not.
    pub fn mutating_attempts(&self) -> Vec<Entry> {
        self.calls(|entry| entry.mutates)
    }

    /// The calls that were throttled.
    pub fn throttled(&self) -> Vec<Entry> {
        let code =
            |entry: &Entry| matches!(&entry.outcome, Outcome::Refused(_, code) if code.starts_with("Throttling"));
        self.calls(code)
    }

    /// The sessions that were asked for: role ARN and external id.
    pub fn assumed_roles(&self) -> Vec<(String, String)> {
        let calls = self.calls(|entry| entry.service == "sts" && entry.is("AssumeRole"));
        calls.iter().map(|entry| (entry.text("RoleArn").into(), entry.text("ExternalId").into())).collect()
    }

    /// The most calls of an operation that came within any such time, to one account's region, throttled ones included.
    pub fn most_within(&self, operation: &str, span: Duration) -> usize {
        self.stand.log().most_within(operation, span)
    }

    /// The most restores of DynamoDB that ran at once in one account's region.
    pub fn highest_restores(&self) -> usize {
        self.stand.log().highest_restores.values().copied().max().unwrap_or(0)
    }

    /// Forgets the log, not the state.
    pub fn clear_log(&self) {
        self.stand.log().clear();
    }
}

impl Drop for AwsStandIn {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
