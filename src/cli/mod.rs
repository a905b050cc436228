//! The commands; one file each.

mod args;
mod ask;
pub mod config;
mod demo;
mod force;
mod guard;
mod history;
mod iam;
mod kube;
mod members;
mod output;
mod plan;
mod points;
mod rbac;
mod recover;
mod reload;
mod run;
mod schedule;
mod stop;
mod window;

use crate::config::{Config, Group};
use crate::daemon::rescue::StillClosed;
use crate::observe::log;
use args::{Args, Command};
use clap::{CommandFactory, Parser};
use kube::{KubeFlags, Misplaced};
use output::complain;
use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;

/// From here on a name is taken for a slip of the pen: 1 is the same name, 0 nothing in common.
const LIKE_ENOUGH: f64 = 0.7;

/// How a command ends; the numbers are settled, scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Consistent, or done.
    Good = 0,
    Failed = 1,
    /// Bad config or usage; nothing was started.
    Usage = 2,
    Discarded = 3,
    Refused = 4,
    /// Something could not be opened again.
    StillClosed = 5,
}

/// Parses and dispatches.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    let guard = match log::init(args.log_format, args.log_level.as_deref().or(args.command.log_level())) {
        Ok(guard) => guard,
        Err(error) => {
            complain(format_args!("{error}"));
            return ExitCode::from(Exit::Usage as u8);
        }
    };
    let exit = dispatch(args, &guard).unwrap_or_else(|error| {
        complain(format_args!("{error:#}"));
        match error {
            _ if error.is::<StillClosed>() => Exit::StillClosed,
            _ if error.is::<Misplaced>() => Exit::Usage,
            _ => Exit::Failed,
        }
    });
    ExitCode::from(exit as u8)
}

fn dispatch(args: Args, log: &log::Guard) -> anyhow::Result<Exit> {
    let output = args.output;
    if let Some(command) = args.command.without_kubernetes()
        && let Err(error) = args.kube.none_for(command)
    {
        return Ok(args::misplaced(error));
    }
    match args.command {
        Command::Config { action } => args::config(&args.environment, action, output),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "stillpoint", &mut script);
            output::Format::Table.print(&(), |()| String::from_utf8_lossy(&script).into_owned())?;
            Ok(Exit::Good)
        }
        Command::Demo { windows } => block_on(demo::demo(windows, output)),
        Command::Run { with_parent } => match args::source(&args.environment, args.kube) {
            Ok((loaded, source)) => block_on(run::run(loaded, source, log.dropped_counter(), with_parent)),
            Err(exit) => Ok(exit),
        },
        Command::Guard => match args::source(&args.environment, args.kube) {
            Ok((loaded, source)) => block_on(guard::guard(loaded, source, log.dropped_counter())),
            Err(exit) => Ok(exit),
        },
        command => match args::load(&args.environment, &args.kube) {
            Ok(config) => with_config(command, output, &Arc::new(config), &args.kube),
            Err(exit) => Ok(exit),
        },
    }
}

fn with_config(
    command: Command,
    output: output::Format,
    config: &Arc<Config>,
    kube: &KubeFlags,
) -> anyhow::Result<Exit> {
    let group = |name: &str| group(config, name);
    match command {
        Command::Window { group: name } => within(group(&name), |group| window::window(config, kube, group, output)),
        Command::Pause { group: name, limit } => {
            within(group(&name), |group| window::pause(config, kube, group, limit, output))
        }
        Command::Unpause { group: name, force: true } => {
            within(group(&name), |group| force::unpause(config, group, output))
        }
        Command::Unpause { group: name, force: false } => {
            within(group(&name), |group| window::unpause(config, kube, group, output))
        }
        Command::Plan { group: name } => within(group(&name), |group| plan::plan(config, group, output)),
        Command::History { group, limit } => block_on(history::history(config, group.as_deref(), limit, output)),
        Command::Points { action: None, group, limit } => {
            block_on(points::points(config, group.as_deref(), limit, output))
        }
        Command::Points { action: Some(action), .. } => block_on(points::act(config, kube, action, output)),
        Command::Members { group: None } => block_on(members::members(config, config.groups.values(), true, output)),
        Command::Members { group: Some(name) } => {
            within(group(&name), |group| members::members(config, std::iter::once(group), false, output))
        }
        Command::Schedule { group: None, next, from } => {
            schedule::schedule(config.groups.values(), next.into(), from.as_deref(), output)
        }
        Command::Schedule { group: Some(name), next, from } => match group(&name) {
            Ok(group) => schedule::schedule(std::iter::once(group), next.into(), from.as_deref(), output),
            Err(exit) => Ok(exit),
        },
        Command::Iam { group: name, part } => group(&name).map_or_else(Ok, |group| iam::iam(group, part, output)),
        Command::Rbac { serviceaccount, wide } => rbac::rbac(config, &serviceaccount, wide, output),
        Command::Reload => block_on(reload::reload(config, output)),
        Command::Stop => block_on(stop::stop(config)),
        Command::Recover { abandon } => block_on(recover::recover(config, kube, abandon, output)),
        Command::Run { .. }
        | Command::Guard
        | Command::Demo { .. }
        | Command::Config { .. }
        | Command::Completions { .. } => Ok(Exit::Good),
    }
}

fn group<'a>(config: &'a Config, name: &str) -> Result<&'a Group, Exit> {
    config.groups.get(name).ok_or_else(|| {
        let names: Vec<&str> = config.groups.keys().map(String::as_str).collect();
        let likeness = |other: &str| strsim::jaro_winkler(other, name);
        let nearest = names.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let nearest = nearest.filter(|nearest| likeness(nearest) > LIKE_ENOUGH);
        let hint = nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default();
        complain(format_args!("no group {name}; the config has {}{hint}", names.join(", ")));
        Exit::Usage
    })
}

fn within<'a, F: Future<Output = anyhow::Result<Exit>>>(
    group: Result<&'a Group, Exit>,
    command: impl FnOnce(&'a Group) -> F,
) -> anyhow::Result<Exit> {
    match group {
        Ok(group) => block_on(command(group)),
        Err(exit) => Ok(exit),
    }
}

/// One thread: a window's fan-out is quicker on it than on several, and what may block has threads of its own.
fn block_on(command: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = runtime.block_on(command);
    // A disk or a resolver that hangs must not keep the process.
    runtime.shutdown_background();
    exit
}
