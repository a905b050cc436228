//! The command line.

use super::kube::{KubeFlags, Misplaced};
use super::output::complain;
use super::{Exit, config as commands, output};
use crate::config::{self, Config, Files, Loaded};
use crate::daemon::reload::Source;
use crate::observe::log;
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Consistent restore points for databases under ScalarDB and ScalarDL.
#[derive(Debug, Parser)]
#[command(name = "stillpoint", version, disable_help_subcommand = true, after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    pub environment: Environment,
    #[command(flatten)]
    pub kube: KubeFlags,
    /// How results are printed
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: output::Format,
    /// How log lines are printed, on standard error
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: log::Format,
    /// The least level that is logged: error, warn, info, debug, trace, or directives as in RUST_LOG
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 consistent (or done), 1 failed, 2 bad config or usage, 3 discarded, 4 refused, \
                          5 something could not be opened again";

/// Which config is read.
#[derive(Debug, clap::Args)]
pub struct Environment {
    /// The environment: DIR/default.yaml overlaid by DIR/NAME.yaml [variable: STILLPOINT_ENV]
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "config")]
    pub env: Option<String>,
    /// Where the environments are
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "STILLPOINT_CONFIG_DIR",
        hide_env_values = true,
        default_value = "config"
    )]
    pub config_dir: PathBuf,
    /// A config file instead of an environment; given several times, each overlays the ones before it
    /// [variable: STILLPOINT_CONFIG, files parted by commas]
    #[arg(long, global = true, value_name = "FILE", value_delimiter = ',')]
    pub config: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The daemon: recovery, then schedules, until it is told to stop
    Run {
        /// Ends when the process of this id, its parent, is gone
        #[arg(long, hide = true, value_name = "PID")]
        with_parent: Option<i32>,
    },
    /// Opens what a dead daemon left closed, by what stands on its Lease; needs neither catalog nor volume
    Guard,
    /// One window now; ends with its verdict
    Window {
        /// The group's name in the config
        group: String,
    },
    /// Windows, newest first
    History {
        /// Only this group
        group: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 20, value_name = "NUMBER")]
        limit: u32,
    },
    /// Restore points, newest first: how far each store has come with them
    #[command(args_conflicts_with_subcommands = true)]
    Points {
        #[command(subcommand)]
        action: Option<PointsAction>,
        /// Only this group
        group: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 20, value_name = "NUMBER")]
        limit: u32,
    },
    /// Every member, and whether it is paused now
    Members {
        /// Only this group
        group: Option<String>,
    },
    /// What a window would do now; nothing is paused
    Plan {
        /// The group's name in the config
        group: String,
    },
    /// The next slots, in UTC and the group's zone: blackouts, shifts of the clock, jitter
    Schedule {
        /// Only this group
        group: Option<String>,
        /// How many of each group
        #[arg(long, default_value_t = 5, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=10_000))]
        next: u16,
        /// Those from then on instead: RFC 3339, or a date (and time) on the group's clock, such as 2027-03-28
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
    },
    /// Close a group by hand; the daemon, or this command without one, opens it at the limit
    Pause {
        /// The group's name in the config
        group: String,
        /// How long at most, such as 90s
        #[arg(long, default_value = "10m", value_name = "DURATION", value_parser = duration)]
        limit: Duration,
    },
    /// Open what a window or a pause by hand closed
    Unpause {
        /// The group's name in the config
        group: String,
        /// Unpause every member that the config names, whoever paused it; needs no catalog and no daemon
        #[arg(long)]
        force: bool,
    },
    /// Open what a dead daemon left closed, and show what does not open
    Recover {
        /// Give this member up: it may stay closed
        #[arg(long, value_name = "MEMBER")]
        abandon: Option<String>,
    },
    /// The daemon reads its config again, and says what changed
    Reload,
    /// The daemon begins no further window, waits for those that have closed members, and ends; for a pod's preStop hook
    Stop,
    /// The Roles that the config needs in Kubernetes, for kubectl apply -f -
    Rbac {
        /// Whom to give them to
        #[arg(long, value_name = "NAMESPACE:NAME", default_value = "stillpoint:stillpoint", value_parser = super::rbac::account)]
        serviceaccount: crate::kubernetes::rbac::Account,
        /// With the right to look over all namespaces for workloads that no group names
        #[arg(long)]
        wide: bool,
    },
    /// The IAM policies that a group needs in AWS, one for each role of its config
    Iam {
        /// The group's name in the config
        group: String,
        /// Only the rights for this
        #[arg(long, value_enum)]
        part: Option<crate::aws::policy::Part>,
    },
    /// The config: check it, show it, print its schema
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Simulated clusters, clients, and the real daemon at work with them; needs no config
    Demo {
        /// Ends after that many windows; without it, Ctrl-C does
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        windows: Option<u64>,
    },
    /// Shell completions
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// POINT is a window's name, or the restore point's instant in RFC 3339, such as 2026-11-24T03:00:05Z.
#[derive(Debug, Subcommand)]
pub enum PointsAction {
    /// One restore point: its stores, their tables, and how far each has come
    Show {
        /// A window's name, or the instant, such as 2026-11-24T03:00:05Z
        point: String,
    },
    /// Materialize a restore point now, or try again what failed
    Materialize {
        /// A window's name, or the instant, such as 2026-11-24T03:00:05Z
        point: String,
    },
    /// Delete a restore point's backups, and give it up
    Expire {
        /// A window's name, or the instant, such as 2026-11-24T03:00:05Z
        point: String,
        /// Although it is the last good one of a store
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Exit code 0 or 2; nothing is contacted
    Check,
    /// The merged config, and where each value comes from
    Show,
    /// The JSON Schema of a config file
    Schema,
}

impl Command {
    /// The log level where neither flag nor variable says one: commands that print are quiet.
    pub const fn log_level(&self) -> Option<&'static str> {
        match self {
            Self::Run { .. } | Self::Guard => None,
            _ => Some("error"),
        }
    }

    /// The name of a command for which the flags of Kubernetes can mean nothing.
    pub const fn without_kubernetes(&self) -> Option<&'static str> {
        match self {
            Self::Config { .. } => Some("config"),
            Self::Demo { .. } => Some("demo"),
            Self::Iam { .. } => Some("iam"),
            Self::Reload => Some("reload"),
            Self::Stop => Some("stop"),
            Self::Completions { .. } => Some("completions"),
            _ => None,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    config::parse_duration(text).map_err(|wrong| format!("{wrong}; expected one such as 90s or 10m"))
}

impl Environment {
    fn files(&self) -> Result<Files, Exit> {
        if !self.config.is_empty() {
            return Ok(Files::List(self.config.clone()));
        }
        let environment = |name: String| Files::Env { dir: self.config_dir.clone(), name };
        if let Some(name) = &self.env {
            return Ok(environment(name.clone()));
        }
        // Read here and not by the parser, so that a flag wins over either variable.
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (variable("STILLPOINT_CONFIG"), variable("STILLPOINT_ENV")) {
            (Some(files), None) => Ok(Files::List(files.split(',').map(PathBuf::from).collect())),
            (None, Some(name)) => Ok(environment(name)),
            (Some(_), Some(_)) => {
                complain("which config? STILLPOINT_CONFIG and STILLPOINT_ENV are both set");
                Err(Exit::Usage)
            }
            (None, None) => {
                let dir = self.config_dir.display();
                complain(format_args!("which config? --env NAME reads {dir}/NAME.yaml; or --config FILE"));
                Err(Exit::Usage)
            }
        }
    }
}

/// Reads the config, and lets the flags stand in where it names nothing.
///
/// # Errors
/// The exit code; the errors are printed.
pub fn load(environment: &Environment, kube: &KubeFlags) -> Result<Config, Exit> {
    read(&environment.files()?, kube).map(|loaded| loaded.config).map_err(usage)
}

/// Reads the config, and tells where to read it again.
///
/// # Errors
/// The exit code; the errors are printed.
pub fn source(environment: &Environment, kube: KubeFlags) -> Result<(Loaded, Source), Exit> {
    let files = environment.files()?;
    let loaded = read(&files, &kube).map_err(usage)?;
    let again = files.clone();
    Ok((loaded, Source { files, read: Arc::new(move || read(&again, &kube)) }))
}

fn read(files: &Files, kube: &KubeFlags) -> Result<Loaded, String> {
    let mut loaded = config::load(files, std::env::vars()).map_err(|errors| errors.to_string())?;
    kube.stand_in(&mut loaded.config).map_err(|misplaced| misplaced.to_string())?;
    Ok(loaded)
}

fn usage(message: String) -> Exit {
    complain(message);
    Exit::Usage
}

/// Tells of flags that mean nothing here.
pub fn misplaced(misplaced: Misplaced) -> Exit {
    complain(misplaced);
    Exit::Usage
}

/// `config check|show|schema`.
pub fn config(environment: &Environment, action: ConfigAction, format: output::Format) -> anyhow::Result<Exit> {
    let files = match &action {
        ConfigAction::Schema => Files::List(Vec::new()),
        _ => match environment.files() {
            Ok(files) => files,
            Err(exit) => return Ok(exit),
        },
    };
    let printed = match action {
        ConfigAction::Check if format == output::Format::Table => commands::check(&files, std::env::vars()),
        ConfigAction::Check => commands::check_for_scripts(&files, std::env::vars(), format)?,
        ConfigAction::Show => commands::show(&files, std::env::vars()),
        ConfigAction::Schema => commands::schema(),
    };
    // Whoever reads them may be gone; the exit code tells the rest.
    let _ = output::emit(&printed.stdout);
    let _ = std::io::stderr().write_all(printed.stderr.as_bytes());
    Ok(if printed.code == 0 { Exit::Good } else { Exit::Usage })
}
