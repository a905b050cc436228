//! What the demo prints. No line is longer than 100 columns.

use super::clients::Felt;
use super::stage::Stage;
use crate::catalog::WindowRow;
use crate::cli::output::{emit, table};
use crate::domain::Verdict;
use jiff::Timestamp;
use std::fmt::Write;
use std::path::Path;

const WIDTH: usize = 100;
const LABEL: usize = 21;

/// One window on the screen, line by line as it goes on.
#[derive(Default)]
pub(super) struct Shown {
    begun: bool,
    completed: bool,
    started: bool,
}

impl Shown {
    /// Prints what is new of the window. `number` counts the windows of this demo.
    ///
    /// # Errors
    /// Standard output is gone.
    pub(super) fn update(&mut self, number: u64, row: &WindowRow) -> std::io::Result<()> {
        if !self.begun {
            self.begun = true;
            let why = match row.slot {
                Some(slot) => format!("slot {}", slot.strftime("%H:%M:%S UTC")),
                None => "begun by hand".to_owned(),
            };
            emit(&format!("\nWindow {number}, {why}\n"))?;
        }
        if let (Some(at), false) = (row.pause_completed, self.completed) {
            self.completed = true;
            line("pause completed at", &format!("{}   all {} members are closed", time(at), row.members))?;
        }
        if let (Some(at), Some(from), false) = (row.unpause_started, row.pause_completed, self.started) {
            self.started = true;
            let quiet = at.duration_since(from).as_secs_f64();
            line("unpause started at", &format!("{}   {quiet:.3} s quiet", time(at)))?;
        }
        Ok(())
    }

    /// Prints how the window ended.
    ///
    /// # Errors
    /// Standard output is gone.
    pub(super) fn end(&mut self, number: u64, row: &WindowRow, felt: &[(bool, Felt)]) -> std::io::Result<()> {
        self.update(number, row)?;
        let verdict = row.verdict.map_or("open", Verdict::name);
        line("verdict", verdict)?;
        for reason in &row.reasons {
            line("because", &reason.to_string())?;
        }
        match row.restore_point {
            Some(point) => line("restore point", &point.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())?,
            None => line("restore point", "none: what cannot be proven is not promised")?,
        }
        if let Some(closed) = row.closed {
            line(
                "closed for",
                &format!("{:.3} s, from the first request to the last member open", closed.as_secs_f64()),
            )?;
        }
        for words in felt_words(felt) {
            line("clients", &words)?;
        }
        Ok(())
    }
}

fn felt_words(felt: &[(bool, Felt)]) -> Vec<String> {
    let of = |refuses: bool| {
        felt.iter().filter(|(kind, _)| *kind == refuses).fold(Felt::default(), |sum, (_, felt)| sum.and(*felt))
    };
    let (scalardb, scalardl) = (of(true), of(false));
    let mut words = Vec::new();
    if scalardb.refused > 0 {
        words.push(format!("{} transactions refused by ScalarDB, and tried again", scalardb.refused));
    }
    if scalardl.waited > 0 {
        let longest = scalardl.longest.as_secs_f64();
        words.push(format!("{} requests waited at ScalarDL, {longest:.1} s at most", scalardl.waited));
    }
    if scalardb.cut + scalardl.cut > 0 {
        words.push(format!("{} lost with the member that was restarted", scalardb.cut + scalardl.cut));
    }
    if words.is_empty() {
        words.push("nothing".to_owned());
    }
    words
}

/// What there is, before the first window.
///
/// # Errors
/// Standard output is gone.
pub(super) fn opening(stage: &Stage, log: &Path) -> std::io::Result<()> {
    let mut text = String::from(
        "Stillpoint's demo: stand-in members on loopback, clients at work with them, and the real daemon,\n\
         which closes all of them together every 15 seconds. Nothing outside a temporary folder is touched.\n\n",
    );
    let groups = stage.config.groups.values();
    let rows = groups.flat_map(|group| group.clusters.values()).map(|cluster| {
        let mut players = stage.players.iter().filter(|player| player.cluster == cluster.name).peekable();
        let refuses = players.peek().is_some_and(|player| player.refuses);
        let product = serde_json::to_value(cluster.product).ok();
        vec![
            cluster.name.clone(),
            product.as_ref().and_then(|name| name.as_str()).unwrap_or_default().to_owned(),
            players.count().to_string(),
            if refuses { "refuses transactions" } else { "lets requests wait" }.to_owned(),
        ]
    });
    text.push_str(&table(&["CLUSTER", "PRODUCT", "MEMBERS", "WHILE IT IS PAUSED"], rows));
    // Writing to a String cannot fail.
    let _ = write!(text, "\nconfig  {}\nlog     {}\n", stage.file.display(), log.display());
    text.push_str("\nCtrl-C ends the demo and leaves nothing paused.\n");
    emit(&text)
}

/// What to try beside the demo.
///
/// # Errors
/// Standard output is gone.
pub(super) fn to_try(stage: &Stage) -> std::io::Result<()> {
    let program = std::env::current_exe().map_or_else(|_| "stillpoint".to_owned(), |path| near(&path));
    let config = stage.file.display();
    let group = stage.config.groups.keys().next().map_or("", String::as_str);
    let mut text = String::from("\nThe demo goes on. To try beside it, in another terminal:\n\n");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  export STILLPOINT_CONFIG={config}");
    for (command, what) in [
        ("history".to_owned(), "every window and its verdict"),
        ("points".to_owned(), "the restore points"),
        ("members".to_owned(), "who is open, who is paused"),
        (format!("plan {group}"), "what a window would do now"),
        (format!("window {group}"), "one window now"),
        (format!("pause {group} --limit 20s"), "closed by hand"),
        (format!("unpause {group}"), "and open again"),
    ] {
        let command = format!("{program} {command}");
        let _ = writeln!(text, "  {command:<52}  # {what}");
    }
    if let Some(http) = stage.config.daemon.http {
        let command = format!("curl -s http://{http}/metrics | grep ^stillpoint_");
        let _ = writeln!(text, "  {command:<52}  # what Prometheus sees");
    }
    emit(&text)
}

/// The path as a person would type it here.
fn near(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf));
    relative.map_or_else(|| path.display().to_string(), |relative| format!("./{}", relative.display()))
}

/// A line under a window's heading; what does not fit goes on below it.
pub(super) fn line(label: &str, text: &str) -> std::io::Result<()> {
    let mut out = format!("  {label:<LABEL$}");
    let mut column = LABEL + 2;
    for (index, word) in text.split(' ').enumerate() {
        let width = word.chars().count();
        if index > 0 && column + 1 + width > WIDTH {
            let _ = write!(out, "\n  {:<LABEL$}", "");
            column = LABEL + 2;
        } else if index > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    emit(&(out + "\n"))
}

fn time(at: Timestamp) -> String {
    at.strftime("%H:%M:%S%.3f UTC").to_string()
}
