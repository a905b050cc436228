//! Logs on standard error that can never hold the daemon up.
//!
//! Lines go through a bounded queue to a thread of their own. When standard error is blocked (a full pipe, a stopped
//! terminal, a hanging disk behind it), the queue fills and further lines are **dropped and counted**: a log line is
//! worth less than an unpause that leaves in time. Events carry the fields `window`, `group`, `cluster`, `member`.

use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;
use tracing::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, fmt};

/// How log lines look: `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// One readable line an event.
    #[default]
    Human,
    /// One JSON object an event, its fields at the top.
    Json,
}

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A level, or a list of directives, that is none.
    #[error(
        "{0:?} is no log level: use error, warn, info, debug, trace, or directives such as stillpoint=debug,h2=info"
    )]
    Level(String),
    /// A process logs to one place only.
    #[error("logging was set up already")]
    Twice,
}

/// Writes out what is queued when it is dropped, for at most a second and a half. Keep it until the process ends.
#[derive(Debug)]
#[must_use]
pub struct Guard {
    worker: Option<WorkerGuard>,
    dropped: ErrorCounter,
}

/// How many lines may wait. Some megabytes at most.
const QUEUED_LINES: usize = 8192;
const FLUSH_DEADLINE: Duration = Duration::from_millis(1500);

/// Sends this process's events to standard error. `level` is `--log-level`; without it `RUST_LOG` counts, then `info`.
///
/// # Errors
/// A level that is none, or a second call in a process.
pub fn init(format: Format, level: Option<&str>) -> Result<Guard, Error> {
    let from_environment = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let filter = filter(level.or(from_environment.as_deref()).unwrap_or("info"))?;
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let (writer, guard) = queue(std::io::stderr());
    let registry = tracing_subscriber::registry().with(lines(format, colours, writer).with_filter(filter));
    registry.try_init().map_err(|_| Error::Twice)?;
    Ok(guard)
}

impl Guard {
    /// How many lines were dropped so far because nobody took them.
    #[must_use]
    pub fn dropped_lines(&self) -> u64 {
        self.dropped.dropped_lines() as u64
    }

    /// The same count for someone who outlives a borrow, like a metrics handler.
    #[must_use]
    pub fn dropped_counter(&self) -> ErrorCounter {
        self.dropped.clone()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(worker) = self.worker.take() else { return };
        let (done, wait) = mpsc::channel();
        // The worker's own guard prints to standard output when its queue stays full, and that may hang just the same.
        let flush = move || {
            drop(worker);
            // Nobody may be waiting any more.
            let _ = done.send(());
        };
        if std::thread::Builder::new().name("log-flush".into()).spawn(flush).is_ok() {
            let _ = wait.recv_timeout(FLUSH_DEADLINE);
        }
    }
}

/// A bare level is for Stillpoint; what the libraries say is shown from `warn` on, but not what kube's client says of
/// requests that failed: whoever made one says it in words that fit.
fn filter(level: &str) -> Result<EnvFilter, Error> {
    let wrong = || Error::Level(level.to_owned());
    let directives = match level.trim().to_ascii_lowercase().as_str() {
        "" => return Err(wrong()),
        "off" => "off".to_owned(),
        "error" => "error,kube_client=off".to_owned(),
        bare @ ("warn" | "info" | "debug" | "trace") => format!("warn,kube_client=off,stillpoint={bare}"),
        // A single other word would be taken for the name of a crate.
        other if !other.contains(['=', ',']) => return Err(wrong()),
        _ => level.to_owned(),
    };
    EnvFilter::builder().parse(directives).map_err(|_| wrong())
}

fn queue(out: impl Write + Send + 'static) -> (NonBlocking, Guard) {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUED_LINES).thread_name("log");
    let (writer, worker) = builder.finish(out);
    let dropped = writer.error_counter();
    (writer, Guard { worker: Some(worker), dropped })
}

fn lines<S>(format: Format, colours: bool, writer: NonBlocking) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    // The default timer writes UTC.
    let layer = fmt::layer().with_writer(writer).with_ansi(colours).with_target(false);
    match format {
        Format::Human => layer.boxed(),
        Format::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
