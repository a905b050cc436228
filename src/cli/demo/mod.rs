//! `demo`: the real daemon against stand-in members, one window after another.

mod clients;
mod show;
mod stage;

use super::Exit;
use super::output::{Format, complain, emit};
use crate::catalog::{Catalog, Reader, WindowRow};
use crate::daemon::run::Signals;
use anyhow::Context;
use clients::Felt;
use show::Shown;
use stage::{Daemon, Stage};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often the catalog is asked for news.
const LOOK: Duration = Duration::from_millis(100);
/// How often a restart that is due looks whether all members are closed by now.
const WATCH: Duration = Duration::from_millis(10);
/// How long after the last member closed one is restarted: well inside the hold.
const INTO_THE_HOLD: Duration = Duration::from_millis(700);
/// How long the clients of a window that ended are waited for.
const CLIENTS_SETTLE: Duration = Duration::from_millis(200);
/// During this window a member restarts.
const DISTURBED: u64 = 2;
/// After this one the demo says what to try beside it.
const EXPLAINED: u64 = 4;
/// How long the daemon may take to open everything.
const END_LIMIT: Duration = Duration::from_secs(30);

/// Runs until a signal, or until that many windows have ended.
pub async fn demo(windows: Option<u64>, output: Format) -> anyhow::Result<Exit> {
    let mut signals = Signals::catch().context("catch signals")?;
    let stage = Stage::set()?;
    let mut daemon = Daemon::start(&stage)?;
    if output == Format::Table {
        show::opening(&stage, &daemon.log)?;
    }
    let number = Cell::new(0);
    let mut play =
        Play { stage: &stage, output, windows, done: BTreeSet::new(), number: &number, shown: Shown::default() };
    let ended = tokio::select! {
        ended = play.until_the_end() => ended,
        Err(error) = disturb(&stage, &number, output) => Err(error),
        () = signals.next() => Ok(()),
        status = daemon.wait() => {
            Err(anyhow::anyhow!("the daemon ended by itself ({}):\n{}", status?, daemon.tail()))
        }
    };
    let exit = end(&stage, &mut daemon, &mut signals, output).await?;
    match ended {
        Ok(()) => Ok(exit),
        // Whoever read along has gone.
        Err(error) if is_broken_pipe(&error) => Ok(exit),
        Err(error) => Err(error),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Stops the daemon, which opens everything first, and looks whether it did.
async fn end(stage: &Stage, daemon: &mut Daemon, signals: &mut Signals, output: Format) -> anyhow::Result<Exit> {
    let say = |text: &str| {
        if output == Format::Table {
            // Nobody has to read it.
            let _ = emit(text);
        }
    };
    say("\nThe daemon is told to stop: it opens what is closed, then it ends.\n");
    daemon.signal();
    let limit = tokio::time::sleep(END_LIMIT);
    tokio::pin!(limit);
    loop {
        tokio::select! {
            status = daemon.wait() => {
                status.context("wait for the daemon")?;
                break;
            }
            () = signals.next() => daemon.signal(),
            () = &mut limit => anyhow::bail!("the daemon does not end:\n{}", daemon.tail()),
        }
    }
    let paused = stage.paused();
    if paused.is_empty() {
        say("Nothing is paused. The demo's folder is removed.\n");
        return Ok(Exit::Good);
    }
    let names: Vec<String> =
        paused.iter().map(|player| format!("{}/{}", player.cluster, player.member.address())).collect();
    complain(format_args!("still paused: {}", names.join(", ")));
    Ok(Exit::StillClosed)
}

/// Restarts a member in the middle of one hold.
async fn disturb(stage: &Stage, number: &Cell<u64>, output: Format) -> anyhow::Result<()> {
    let Some(player) = stage.players.iter().rfind(|player| player.refuses) else { return Ok(()) };
    let all = || number.get() + 1 >= DISTURBED && stage.paused().len() == stage.players.len();
    loop {
        while !all() {
            tokio::time::sleep(WATCH).await;
        }
        tokio::time::sleep(INTO_THE_HOLD).await;
        if all() {
            break;
        }
    }
    player.member.restart().await.context("restart a stand-in")?;
    if output == Format::Table {
        let address = player.member.address();
        show::line("(the demo)", &format!("restarts {}/{address}, which forgets that it is paused", player.cluster))?;
    }
    Ok(())
}

/// The demo as it goes on.
struct Play<'a> {
    stage: &'a Stage,
    output: Format,
    /// After how many windows it ends by itself.
    windows: Option<u64>,
    /// Windows that were shown to their end.
    done: BTreeSet<String>,
    /// The window that is shown, from 1; missed slots are not counted.
    number: &'a Cell<u64>,
    shown: Shown,
}

impl Play<'_> {
    async fn until_the_end(&mut self) -> anyhow::Result<()> {
        let reader = self.reader().await?;
        loop {
            for row in reader.history(None, 20).await?.into_iter().rev() {
                if self.done.contains(&row.window) {
                    continue;
                }
                if row.verdict.is_some() {
                    self.ended(row).await?;
                    if self.over() {
                        return Ok(());
                    }
                    self.shown = Shown::default();
                } else {
                    self.goes_on(&row)?;
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn over(&self) -> bool {
        self.windows.is_some_and(|windows| self.number.get() >= windows)
    }

    /// The catalog, as soon as the daemon has made it.
    async fn reader(&self) -> anyhow::Result<Reader> {
        loop {
            match Catalog::read(&self.stage.config.daemon.catalog).await {
                Ok(reader) => return Ok(reader),
                // The daemon is about to make it; should it fail, it ends, and the demo with it.
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    fn goes_on(&mut self, row: &WindowRow) -> anyhow::Result<()> {
        if self.output == Format::Table {
            self.shown.update(self.number.get() + 1, row)?;
        }
        Ok(())
    }

    async fn ended(&mut self, row: WindowRow) -> anyhow::Result<()> {
        self.done.insert(row.window.clone());
        if matches!(row.verdict, Some(crate::domain::Verdict::Missed | crate::domain::Verdict::Skipped)) {
            return Ok(());
        }
        let number = self.number.get() + 1;
        self.number.set(number);
        // Those that waited at a gate run now.
        tokio::time::sleep(CLIENTS_SETTLE).await;
        let players = self.stage.players.iter();
        let felt: Vec<(bool, Felt)> = players.map(|player| (player.refuses, player.clients.felt())).collect();
        if self.output != Format::Table {
            return self.output.print(&super::history::Row::from(&row), |_| String::new());
        }
        self.shown.end(number, &row, &felt)?;
        if number == EXPLAINED && !self.over() {
            show::to_try(self.stage)?;
        }
        Ok(())
    }
}
