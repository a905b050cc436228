//! Real ScalarDB Servers and the programs around them.

use super::admin;
use super::ports::free_port;
use super::postgres::Postgres;
use super::process::{Process, run};
use super::tools::{class_path, program};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// One ScalarDB Server over two PostgreSQL servers. Transactions and the admin interface share its port.
pub struct ScalardbServer {
    name: String,
    folder: PathBuf,
    port: u16,
    process: Process,
}

impl ScalardbServer {
    /// Starts a server; it is ready after [`ScalardbServer::wait_until_ready`].
    pub fn launch(name: &str, folder: &Path, databases: &[Postgres; 2]) -> Self {
        let port = free_port();
        std::fs::write(folder.join(format!("{name}.properties")), properties(databases, port))
            .expect("a file can be written");
        let process = launch(name, folder);
        Self { name: name.into(), folder: folder.into(), port, process }
    }

    /// Waits until it says that it listens; it binds the wildcard address, of which tests use 127.0.0.1 only.
    pub fn wait_until_ready(&mut self) {
        self.process.wait_for_line("ScalarDB Server started, listening on", LIMIT);
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:port`, as in a config.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Whether it is closed, by its own word.
    pub fn is_paused(&self) -> bool {
        admin::check_paused(self.port).unwrap_or_else(|status| panic!("ask {}: {status}", self.name))
    }

    /// The server's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// SIGKILL; returns when it is gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM; returns when it is gone.
    pub fn stop(&mut self) {
        self.process.stop();
    }

    /// Freezes it: its port stays open and nothing answers.
    pub fn freeze(&mut self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on after [`ScalardbServer::freeze`].
    pub fn thaw(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// Ends it if it runs, and starts it again on the same port; returns when it is ready (and open).
    pub fn restart(&mut self) {
        self.process.stop();
        self.process = launch(&self.name, &self.folder);
        self.wait_until_ready();
    }
}

fn launch(name: &str, folder: &Path) -> Process {
    let mut server = java("256m", &class_path("server"));
    server.args(["com.scalar.db.server.ScalarDbServer", "--config"]);
    server.arg(folder.join(format!("{name}.properties")));
    Process::start(name, &server, &folder.join(format!("{name}.log")))
}

/// Makes the tables of the transfers and the coordinator's in the two databases.
pub fn load_schema(folder: &Path, databases: &[Postgres; 2]) {
    let (config, schema) = (folder.join("loader.properties"), folder.join("schema.json"));
    std::fs::write(&config, properties(databases, 0)).expect("a file can be written");
    std::fs::write(&schema, include_str!("scalardb/schema.json")).expect("a file can be written");
    let mut loader = java("256m", &class_path("loader"));
    loader.args(["com.scalar.db.schemaloader.SchemaLoader", "--coordinator", "--config"]);
    loader.arg(&config).arg("--schema-file").arg(&schema);
    run("the schema loader", &loader, LIMIT);
}

/// Scalar's own admin command on one server, an independent witness: `pause`, `unpause` or `check_paused`. Returns
/// what it printed.
pub fn scalar_admin(command: &str, port: u16) -> String {
    let mut admin = java("128m", &class_path("admin"));
    admin.args(["com.scalar.admin.AdminCommand", "-c", command, "-a", &format!("127.0.0.1:{port}")]);
    run("scalar-admin", &admin, LIMIT)
}

/// A Java that starts fast and stays small.
pub fn java(heap: &str, class_path: &str) -> Command {
    let mut java = Command::new(program("java"));
    java.arg(format!("-Xmx{heap}")).args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]);
    java.args(["-cp", class_path]);
    java
}

fn properties(databases: &[Postgres; 2], port: u16) -> String {
    let [first, second] = databases.each_ref().map(|database| database.port().to_string());
    include_str!("scalardb/server.properties")
        .replace("@PG1@", &first)
        .replace("@PG2@", &second)
        .replace("@PORT@", &port.to_string())
}
