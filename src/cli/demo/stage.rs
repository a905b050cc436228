//! What stands on the demo's stage: a folder, members, clients at them, and the real daemon.

use super::clients::Clients;
use crate::config::{self, Config, Files, Source};
use crate::domain::Product;
use crate::sim::{Flavour, SimMember};
use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{DirBuilder, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use tokio::process::{Child, Command};

/// The config that the demo runs, with ports that stand for others.
const CONFIG: &str = include_str!("../../../config/demo.yaml");
/// What in it stands for the folder.
const FOLDER: &str = "/tmp/stillpoint-demo";

/// A folder that is removed with this.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// A new one among the temporary files, for this user only.
    pub(super) fn make() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("stillpoint-demo-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is a few hundred kilobytes among the temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A stand-in, and the clients that work with it.
pub(super) struct Player {
    pub(super) cluster: String,
    pub(super) member: Arc<SimMember>,
    /// Whether it refuses transactions while it is paused; otherwise they wait.
    pub(super) refuses: bool,
    pub(super) clients: Clients,
}

/// Members for every address of the config, and the config with the addresses they got.
pub(super) struct Stage {
    pub(super) folder: Folder,
    pub(super) file: PathBuf,
    pub(super) config: Config,
    pub(super) players: Vec<Player>,
}

impl Stage {
    /// Starts the members and their clients, and writes the config.
    ///
    /// # Errors
    /// Those of the filesystem, and of listening on loopback.
    pub(super) fn set() -> anyhow::Result<Self> {
        let folder = Folder::make()?;
        let file = folder.join("demo.yaml");
        let mut text = CONFIG.replace(FOLDER, &folder.0.display().to_string());
        let template = read(&file, &text)?;
        if let Some(address) = template.daemon.http {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
            text = text.replace(&address.to_string(), &free.context("find a free port")?.to_string());
        }
        let mut players = Vec::new();
        for cluster in template.groups.values().flat_map(|group| group.clusters.values()) {
            let Source::Addresses(addresses) = &cluster.source else { continue };
            for address in addresses {
                let flavour = flavour(cluster.product);
                let member = SimMember::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), flavour, None)
                    .context("start a stand-in member")?;
                text = text.replace(address, &member.address().to_string());
                let member = Arc::new(member);
                let clients = Clients::start(&member, flavour.refuses());
                players.push(Player { cluster: cluster.name.clone(), member, refuses: flavour.refuses(), clients });
            }
        }
        let config = read(&file, &text)?;
        Ok(Self { folder, file, config, players })
    }

    /// The players whose gates are closed.
    pub(super) fn paused(&self) -> Vec<&Player> {
        self.players.iter().filter(|player| player.member.is_paused()).collect()
    }
}

/// Writes the config and reads it as the daemon does, but for variables, which the demo's daemon does not see.
fn read(file: &Path, text: &str) -> anyhow::Result<Config> {
    std::fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    Ok(config::load(&Files::List(vec![file.to_path_buf()]), [])?.config)
}

const fn flavour(product: Product) -> Flavour {
    match product {
        Product::ScalardlLedger => Flavour::ScalardlOld,
        Product::ScalardlAuditor => Flavour::ScalardlNew,
        Product::ScalardbCluster | Product::ScalardbServer | Product::Custom => Flavour::Scalardb,
    }
}

/// The real daemon: this program as another process.
pub(super) struct Daemon {
    child: Child,
    pub(super) log: PathBuf,
}

impl Daemon {
    /// Starts it. It ends with this process, however that ends.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn start(stage: &Stage) -> anyhow::Result<Self> {
        let log = stage.folder.join("daemon.log");
        let out = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let mut command = Command::new(std::env::current_exe().context("find this program")?);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("STILLPOINT_")) {
            command.env_remove(name);
        }
        command.arg("run").arg("--with-parent").arg(std::process::id().to_string());
        command.args(["--log-level", "info"]).arg("--config").arg(&stage.file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(out);
        // A terminal's Ctrl-C goes to its whole process group; the daemon takes a second signal for impatience.
        command.process_group(0);
        let child = command.spawn().context("start the daemon")?;
        Ok(Self { child, log })
    }

    /// Tells it to stop.
    pub(super) fn signal(&self) {
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            // Not there any more: that is what was asked for.
            let _ = kill_process(id, Signal::TERM);
        }
    }

    /// Its end.
    ///
    /// # Errors
    /// The system's own.
    pub(super) async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// The last lines of its log.
    pub(super) fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}
