//! The simulation is only worth what it catches: bugs are planted into a copy of the core, of which one acts at a time,
//! and its checks have to object to each. Seeds are printed; `cargo test --test planted_bugs -- --nocapture` shows them.

mod bugs;
mod leaders;
mod plant;

use bugs::{BUGS, Bug, COPY_BUGS};
use leaders::LEADER_BUGS;
use plant::planted;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

/// A bug that lives through this many windows, or materializations, was not caught.
const MOST_SEEDS: u64 = 200_000;
const SOURCES: &[&str] = &[
    "aws/kind.rs",
    "window",
    "domain",
    "leadership/election.rs",
    "scalar/answer.rs",
    "sim/check.rs",
    "sim/copying",
    "sim/faults.rs",
    "sim/gate.rs",
    "sim/inject.rs",
    "sim/leading",
    "sim/pods.rs",
    "sim/random.rs",
    "sim/stores.rs",
    "sim/traffic.rs",
    "sim/witness.rs",
    "sim/world.rs",
    "tracking/copy.rs",
    "tracking/runner.rs",
];

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        for entry in std::fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, std::fs::read(from).unwrap()).unwrap();
    }
}

/// The core and the simulation with every bug in them, compiled; which one acts is chosen by its number.
fn build() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("planted");
    let _ = std::fs::remove_dir_all(folder.join("src"));
    for source in SOURCES {
        copy(&project().join("src").join(source), &folder.join("src").join(source));
    }
    let bugs: Vec<(usize, &Bug)> = (1..).zip(BUGS.iter().chain(COPY_BUGS).chain(LEADER_BUGS)).collect();
    let files: BTreeSet<&str> = bugs.iter().flat_map(|(_, bug)| bug.edits).map(|edit| edit.0).collect();
    for file in files {
        let path = folder.join("src").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, planted(file, &text, &bugs)).unwrap();
    }
    std::fs::write(folder.join("Cargo.toml"), include_str!("core.toml")).unwrap();
    std::fs::write(folder.join("src/main.rs"), include_str!("core.rs")).unwrap();
    copy(&project().join("Cargo.lock"), &folder.join("Cargo.lock"));
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(folder.join("target"))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    folder.join("target/debug/stillpoint-core")
}

/// The first seed that a check objected to with that bug in the core, and the objection; bug 0 is none.
fn first_objection(binary: &Path, which: &str, seeds: u64, bug: usize) -> Option<(u64, String)> {
    let output = Command::new(binary).args([which, "0", &seeds.to_string(), &bug.to_string()]).output().unwrap();
    assert!(output.status.success(), "bug {bug} of {binary:?} ended with {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let (seed, violation) = text.trim().split_once(' ')?;
    Some((seed.parse().unwrap(), violation.to_owned()))
}

#[test]
fn every_planted_bug_is_caught_and_the_code_without_them_is_not() {
    let binary = build();
    let all_are_caught = |which: &str, bugs: &[Bug], first: usize| {
        let slowest = slowest_catch(&binary, which, bugs, first);
        assert_eq!(first_objection(&binary, which, slowest, 0), None, "the code without a planted bug");
        println!("{} bugs of {which}, each caught; without one, {slowest} seeds keep every promise", bugs.len());
    };
    // All end with long runs of one process each.
    thread::scope(|scope| {
        scope.spawn(|| all_are_caught("windows", BUGS, 1));
        scope.spawn(|| all_are_caught("copies", COPY_BUGS, 1 + BUGS.len()));
        scope.spawn(|| all_are_caught("leaders", LEADER_BUGS, 1 + BUGS.len() + COPY_BUGS.len()));
    });
}

/// How many seeds the bug took that was the hardest to catch; all have to be.
fn slowest_catch(binary: &Path, which: &str, bugs: &[Bug], first: usize) -> u64 {
    let left = Mutex::new((first..).zip(bugs));
    let ended = Mutex::new((0, Vec::new()));
    let work = || {
        loop {
            let next = left.lock().unwrap().next();
            let Some((number, bug)) = next else { return };
            let objection = first_objection(binary, which, MOST_SEEDS, number);
            let (slowest, survivors) = &mut *ended.lock().unwrap();
            match objection {
                Some((seed, violation)) => {
                    println!("{}: caught at seed {seed}: {violation}", bug.name);
                    *slowest = (seed + 1).max(*slowest);
                }
                None => survivors.push(bug.name),
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    let (slowest, survivors) = ended.into_inner().unwrap();
    assert!(survivors.is_empty(), "not caught in {MOST_SEEDS} seeds of {which}: {survivors:#?}");
    slowest
}
