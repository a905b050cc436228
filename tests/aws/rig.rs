//! The real program beside real gRPC members and the stand-in for AWS; and rows, by plain SDK calls.

use crate::aws::{AwsStandIn, NewTable, Scope};
use crate::sdk;
use crate::support::ports::free_port;
use crate::support::process::Process;
use crate::support::wait_until;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use stillpoint::sim::{Flavour, SimMember};

/// What changes AWS when a table is materialized, in this order.
pub const STEPS: [&str; 4] = ["RestoreTableToPointInTime", "TagResource", "CreateBackup", "DeleteTable"];
/// Longer than anything here takes.
pub const LIMIT: Duration = Duration::from_secs(90);
pub const HERE: &str = crate::aws::DEFAULT_ACCOUNT;
pub const OTHER: &str = "222222222222";
pub const REGION: &str = "ap-northeast-1";
pub const ROLE: &str = "arn:aws:iam::222222222222:role/stillpoint";

/// The program, a config of its own, and members that it pauses.
pub struct Program {
    runtime: tokio::runtime::Runtime,
    pub members: Vec<SimMember>,
    folder: tempfile::TempDir,
    starts: std::cell::Cell<u32>,
    /// In place of AWS's own; none: AWS, with the credentials of the environment.
    endpoint: Option<String>,
}

/// The program, and the stand-in for AWS.
pub struct Rig {
    pub aws: AwsStandIn,
    program: Program,
}

impl std::ops::Deref for Rig {
    type Target = Program;
    fn deref(&self) -> &Program {
        &self.program
    }
}

impl Program {
    /// Two members, and these stores, as YAML lines below `stores`; `more` are lines of the group.
    pub fn new(endpoint: Option<String>, stores: &[&str], more: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let members: Vec<SimMember> = {
            let _guard = runtime.enter();
            (0..2).map(|_| member()).collect()
        };
        let addresses: Vec<String> = members.iter().map(|member| format!("\"{}\"", member.address())).collect();
        let (folder, http) = (tempfile::tempdir().unwrap(), free_port());
        let stores: String = stores.iter().map(|store| format!("      {store}\n")).collect();
        let config = format!(
            "daemon:\n  catalog: sqlite://{}/catalog.db\n  http: 127.0.0.1:{http}\ngroups:\n  shop:\n    window: {{hold: \
             5s, drain: 2s, max_pause: 20s}}\n{more}    clusters:\n      orders: {{product: scalardb-server, addresses: \
             [{}]}}\n    stores:\n{stores}",
            folder.path().display(),
            addresses.join(", "),
        );
        std::fs::write(folder.path().join("config.yaml"), config).unwrap();
        Self { runtime, members, folder, starts: std::cell::Cell::new(0), endpoint }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stillpoint"));
        command.arg("--config").arg(self.path("config.yaml")).args(arguments);
        if let Some(endpoint) = &self.endpoint {
            command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_EC2_METADATA_DISABLED", "true");
            command.env("AWS_ACCESS_KEY_ID", HERE).env("AWS_SECRET_ACCESS_KEY", "secret");
        }
        command
    }

    /// The daemon, ready.
    pub fn daemon(&self) -> Process {
        self.starts.set(self.starts.get() + 1);
        let log = self.path(&format!("{}.log", self.starts.get()));
        let mut daemon = Process::start("run", &self.command(&["run", "--log-level", "info,stillpoint=debug"]), &log);
        daemon.wait_for_line("INFO ready: ", LIMIT);
        daemon
    }

    /// Runs the program to its end: exit code, the last JSON line or null, standard output and error.
    pub fn run(&self, arguments: &[&str]) -> (i32, serde_json::Value, String) {
        Self::told(&self.command(arguments).output().unwrap())
    }

    /// What a run came to: exit code, the last JSON line or null, standard output and error.
    pub fn told(output: &std::process::Output) -> (i32, serde_json::Value, String) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let out = text(&output.stdout);
        let json = out.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        (output.status.code().unwrap_or(-1), json, out + &text(&output.stderr))
    }

    /// A window now, which must be consistent; answers with its report.
    pub fn window(&self) -> serde_json::Value {
        let (code, report, said) = self.run(&["window", "shop", "-o", "json"]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(report["verdict"], "consistent", "{said}");
        report
    }

    /// The newest restore point, as `points -o json` shows it.
    pub fn point(&self) -> serde_json::Value {
        let (code, points, said) = self.run(&["points", "-o", "json"]);
        assert_eq!(code, 0, "{said}");
        points[0].clone()
    }

    /// Waits until the newest restore point has come to this in every store.
    pub fn wait_for(&self, state: &str) -> serde_json::Value {
        wait_until(&format!("the restore point is {state}"), LIMIT, || {
            let point = self.point();
            (point["state"] == state).then_some(point)
        })
    }

    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

impl Rig {
    /// See [`Program::new`].
    pub fn new(stores: &[&str], more: &str) -> Self {
        let aws = AwsStandIn::start();
        let program = Program::new(Some(aws.endpoint()), stores, more);
        Self { aws, program }
    }

    pub fn client(&self, account: &str) -> Client {
        Client::new(&sdk::patient(&self.aws, account, REGION))
    }

    /// Tables with point-in-time recovery.
    pub fn tables(&self, account: &str, names: &[String]) {
        let tables: Vec<NewTable> = names.iter().map(|name| NewTable::new(name)).collect();
        self.aws.seed_tables(&Scope::new(account, REGION), &tables);
    }

    /// So many tables of the application's and ScalarDB's own two, with a row each.
    pub fn application(&self, count: usize) -> Vec<String> {
        let mut tables: Vec<String> = (0..count).map(|number| format!("shop.t{number}")).collect();
        tables.extend(["coordinator.state", "scalardb.metadata"].map(str::to_owned));
        self.tables(HERE, &tables);
        self.write(HERE, &tables, "before");
        tables
    }

    /// Nothing but one backup a table came of materializing them.
    pub fn assert_one_backup_each(&self, tables: &[String]) {
        self.assert_nothing_else_was_touched();
        let backups: BTreeMap<String, usize> =
            self.backups(HERE).into_iter().map(|(of, all)| (of, all.len())).collect();
        assert_eq!(backups, tables.iter().map(|table| (table.clone(), 1)).collect(), "one backup a table");
        assert_eq!(self.names(HERE).len(), tables.len(), "no temporary table is left: {:?}", self.names(HERE));
    }

    /// Writes a row into each table.
    pub fn write(&self, account: &str, names: &[String], id: &str) {
        let client = self.client(account);
        self.block_on(async {
            for name in names {
                let row = client.put_item().table_name(name).item("id", AttributeValue::S(id.to_owned()));
                row.item("of", AttributeValue::S(name.clone())).send().await.unwrap();
            }
        });
    }

    /// The ids of a table's rows, in order.
    pub fn rows(&self, account: &str, name: &str) -> Vec<String> {
        let client = self.client(account);
        self.block_on(async {
            let items = client.scan().table_name(name).send().await.unwrap().items.unwrap_or_default();
            let mut ids: Vec<String> = items.iter().map(|item| item["id"].as_s().unwrap().clone()).collect();
            ids.sort();
            ids
        })
    }

    /// By the table that each is of: the backups under our names, as plain calls see them.
    pub fn backups(&self, account: &str) -> BTreeMap<String, Vec<String>> {
        let client = self.client(account);
        let mut backups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        self.block_on(async {
            let mut after = None;
            loop {
                let page = client.list_backups().set_exclusive_start_backup_arn(after).send().await.unwrap();
                for backup in page.backup_summaries.unwrap_or_default() {
                    let name = backup.backup_name.unwrap();
                    assert!(name.starts_with("stillpoint-"), "{name}");
                    backups.entry(source_of(&name)).or_default().push(backup.backup_arn.unwrap());
                }
                after = page.last_evaluated_backup_arn;
                if after.is_none() {
                    return;
                }
            }
        });
        backups
    }

    /// Every table of an account.
    pub fn names(&self, account: &str) -> Vec<String> {
        let client = self.client(account);
        self.block_on(async {
            let mut pages = client.list_tables().into_paginator().items().send();
            let mut names = Vec::new();
            while let Some(name) = pages.next().await {
                names.push(name.unwrap());
            }
            names
        })
    }

    /// What changed AWS was asked of our names only: a table that is not temporary is at most restored from.
    pub fn assert_nothing_else_was_touched(&self) {
        for call in self.aws.mutating_attempts() {
            let ours = |name: &String| name.contains("stillpoint-");
            let fine = match call.operation.as_str() {
                "RestoreTableToPointInTime" => ours(&call.text("TargetTableName").to_owned()),
                "AssumeRole" => true,
                _ => call.targets.iter().all(ours),
            };
            assert!(fine, "{call:?}");
        }
    }
}

/// The table that a name of ours is of: behind the catalog, the point and the number.
pub fn source_of(name: &str) -> String {
    name.splitn(5, '-').nth(4).unwrap_or_else(|| panic!("{name} is none of our names")).to_owned()
}

fn member() -> SimMember {
    for _ in 0..20 {
        match SimMember::start(SocketAddr::from(([127, 0, 0, 1], free_port())), Flavour::Scalardb, None) {
            // Another test was quicker.
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            started => return started.unwrap(),
        }
    }
    panic!("every free port is taken before it is used");
}
