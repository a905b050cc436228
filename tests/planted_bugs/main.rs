//! The simulation is only worth what it catches: bugs are planted into a copy of the core, one at a time, and its
//! checks have to object to each. Seeds are printed; `cargo test --test planted_bugs -- --nocapture` shows them.

mod bugs;

use bugs::{BUGS, Bug, COPY_BUGS};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// A bug that lives through this many windows, or materializations, was not caught.
const MOST_SEEDS: u64 = 200_000;
const SOURCES: &[&str] = &[
    "aws/kind.rs",
    "window",
    "domain",
    "scalar/answer.rs",
    "sim/check.rs",
    "sim/copying",
    "sim/faults.rs",
    "sim/gate.rs",
    "sim/inject.rs",
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

/// The copy of the core that bugs are planted into: one crate, so that its dependencies compile once.
struct Copy {
    folder: PathBuf,
}

impl Copy {
    fn new() -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("planted");
        let _ = std::fs::remove_dir_all(folder.join("src"));
        for source in SOURCES {
            copy(&project().join("src").join(source), &folder.join("src").join(source));
        }
        std::fs::write(folder.join("Cargo.toml"), include_str!("core.toml")).unwrap();
        std::fs::write(folder.join("src/main.rs"), include_str!("core.rs")).unwrap();
        copy(&project().join("Cargo.lock"), &folder.join("Cargo.lock"));
        std::fs::create_dir_all(folder.join("bin")).unwrap();
        Self { folder }
    }

    /// Compiles the copy with these edits in it, and takes them out again.
    fn build(&self, name: &str, edits: &[bugs::Edit]) -> PathBuf {
        let originals: Vec<(PathBuf, String)> = edits.iter().map(|edit| self.plant(name, edit)).collect();
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--offline", "--manifest-path"])
            .arg(self.folder.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(self.folder.join("target"))
            .env_remove("RUSTFLAGS")
            .output()
            .unwrap();
        assert!(built.status.success(), "{name}: {}", String::from_utf8_lossy(&built.stderr));
        for (path, text) in originals.into_iter().rev() {
            std::fs::write(path, text).unwrap();
        }
        let binary = self.folder.join("bin").join(name.replace(|letter: char| !letter.is_alphanumeric(), "-"));
        std::fs::copy(self.folder.join("target/debug/stillpoint-core"), &binary).unwrap();
        binary
    }

    fn plant(&self, name: &str, (file, from, to): &bugs::Edit) -> (PathBuf, String) {
        let path = self.folder.join("src").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text.matches(from).count(),
            1,
            "{name}: the code has drifted away from this bug: {from:?} in {file}"
        );
        std::fs::write(&path, text.replace(from, to)).unwrap();
        (path, text)
    }
}

/// The first seed that a check objected to, and the objection.
fn first_objection(binary: &Path, which: &str, seeds: u64) -> Option<(u64, String)> {
    let output = Command::new(binary).args([which, "0", &seeds.to_string()]).output().unwrap();
    assert!(output.status.success(), "{binary:?} ended with {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let (seed, violation) = text.trim().split_once(' ')?;
    Some((seed.parse().unwrap(), violation.to_owned()))
}

#[test]
fn every_planted_bug_is_caught_and_the_code_without_them_is_not() {
    let copy = Copy::new();
    let clean = copy.build("without a bug", &[]);
    for (which, bugs) in [("windows", BUGS), ("copies", COPY_BUGS)] {
        let slowest = slowest_catch(&copy, which, bugs);
        assert_eq!(first_objection(&clean, which, slowest), None, "the code without a planted bug");
        println!("{} bugs of {which}, each caught; without one, {slowest} seeds keep every promise", bugs.len());
    }
}

/// How many seeds the bug took that was the hardest to catch; all have to be.
fn slowest_catch(copy: &Copy, which: &'static str, bugs: &'static [Bug]) -> u64 {
    let mut slowest = 0;
    let mut survivors = Vec::new();
    let mut running = Vec::new();
    // One compiles while another runs.
    for Bug { name, edits } in bugs {
        let binary = copy.build(name, edits);
        running.push((name, thread::spawn(move || first_objection(&binary, which, MOST_SEEDS))));
    }
    for (name, run) in running {
        match run.join().unwrap() {
            Some((seed, violation)) => {
                println!("{name}: caught at seed {seed}: {violation}");
                slowest = slowest.max(seed + 1);
            }
            None => survivors.push(name),
        }
    }
    assert!(survivors.is_empty(), "not caught in {MOST_SEEDS} seeds of {which}: {survivors:#?}");
    slowest
}
