//! What a window on a world's servers says at its end, held against the databases' own logs.

use super::postgres::WalPosition;
use super::process::Process;
use super::world::World;
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// Longer than a window of a test takes.
const LIMIT: Duration = Duration::from_secs(45);

/// What `stillpoint window -o json` said at its end.
pub struct Report {
    pub code: i32,
    json: Value,
}

impl Report {
    /// Waits for the command's end.
    pub fn of(mut window: Process) -> Self {
        let code = window.wait(LIMIT).code().expect("it was not killed");
        let output = window.output();
        let line = output.lines().rev().find(|line| line.starts_with('{'));
        let json = line.and_then(|line| serde_json::from_str(line).ok()).unwrap_or_else(|| panic!("no JSON: {output}"));
        Self { code, json }
    }

    /// `consistent`, `discarded` or `refused`; the exit code says the same.
    pub fn verdict(&self) -> &str {
        let verdict = self.json["verdict"].as_str().unwrap();
        let code = ["consistent", "failed", "usage", "discarded", "refused"].iter().position(|name| *name == verdict);
        assert_eq!(code, usize::try_from(self.code).ok(), "{}", self.json);
        verdict
    }

    /// The codes of the reasons.
    pub fn reasons(&self) -> Vec<&str> {
        self.json["reasons"].as_array().unwrap().iter().map(|reason| reason["code"].as_str().unwrap()).collect()
    }

    /// The reasons' sentences.
    pub fn sentences(&self) -> Vec<&str> {
        self.json["reasons"].as_array().unwrap().iter().map(|reason| reason["sentence"].as_str().unwrap()).collect()
    }

    /// A text, by its name; empty: there is none.
    pub fn text(&self, name: &str) -> &str {
        self.json[name].as_str().unwrap_or_default()
    }

    /// How many members it names.
    pub fn members(&self) -> usize {
        self.json["members"].as_array().map_or(0, Vec::len)
    }

    /// An instant, by its name.
    pub fn instant(&self, name: &str) -> Timestamp {
        self.json[name].as_str().unwrap_or_else(|| panic!("no {name}: {}", self.json)).parse().unwrap()
    }

    /// Seconds, by their name.
    pub fn seconds(&self, name: &str) -> f64 {
        self.json[name].as_f64().unwrap_or_else(|| panic!("no {name}: {}", self.json))
    }
}

/// From `pause completed` to `unpause started`, and the restore point in between.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    pub quiet: (Timestamp, Timestamp),
    pub point: Timestamp,
}

impl Claim {
    /// Holds it against the databases' logs: commits before and after, and none inside.
    pub fn assert_true(&self, world: &World, since: &[WalPosition; 2]) {
        let (from, to) = self.quiet;
        assert!(from <= self.point && self.point + Duration::from_secs(1) <= to, "{self:?}");
        assert_eq!(self.point.subsec_nanosecond(), 0);
        for (database, commits) in world.wal_commits(since).iter().enumerate() {
            let before = commits.iter().filter(|commit| commit.at < from).count();
            let inside = commits.iter().filter(|commit| from <= commit.at && commit.at <= to).count();
            let after = commits.iter().filter(|commit| commit.at > to).count();
            println!("database {database}: {before} commits before, {inside} inside, {after} after");
            assert_eq!(inside, 0, "commits inside the quiet interval of database {database}: {self:?}");
            assert!(before > 0 && after > 0, "no transfers around the quiet interval of database {database}");
        }
    }
}

impl From<&Report> for Claim {
    fn from(report: &Report) -> Self {
        let quiet = (report.instant("pause_completed"), report.instant("unpause_started"));
        Self { quiet, point: report.instant("restore_point") }
    }
}
