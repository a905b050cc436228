//! The figures that stillpoint promises, measured in one run and printed as one table.
//!
//! `cargo bench --bench stillpoint` measures all of them; names after `--` pick some (`-- fan-out simulation`).
//! `STILLPOINT_WINDOWS=5000000` runs that many faulty windows on two threads instead, and prints what they met.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clocks itself")]

mod appends;
mod fan_out;
mod groups;
mod history;
mod kubernetes;
mod members;
mod program;
mod scrape;
mod simulation;
#[path = "../../tests/support/mod.rs"]
mod support;
mod table;

use table::Table;

/// The members of the large measurements.
const MANY: usize = 1_000;
/// The members of the small one.
const FEW: usize = 10;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, count, port @ ..] = arguments.as_slice()
        && role == members::ROLE
    {
        let port = port.first().map(|port| port.parse().expect("a port"));
        return members::serve(count.parse().expect("a number of members"), port);
    }
    if let Some(windows) = std::env::var("STILLPOINT_WINDOWS").ok().map(|text| text.parse().expect("a number")) {
        return simulation::long_run(windows);
    }
    let picked: Vec<&str> = arguments.iter().map(String::as_str).filter(|name| !name.starts_with('-')).collect();
    let wanted = |name: &str| picked.is_empty() || picked.contains(&name);
    let mut table = Table::new();
    if wanted("fan-out") {
        fan_out::measure(&mut table);
    }
    if wanted("groups") {
        groups::measure(&mut table);
    }
    if wanted("start") {
        program::start_after_kill(&mut table);
    }
    if wanted("first-pause") {
        program::first_pause(&mut table);
    }
    if wanted("memory") {
        program::memory(&mut table);
    }
    if wanted("kubernetes") {
        kubernetes::measure(&mut table);
    }
    if wanted("appends") {
        appends::measure(&mut table);
    }
    if wanted("history") {
        history::measure(&mut table);
    }
    if wanted("scrape") {
        scrape::measure(&mut table);
    }
    if wanted("simulation") {
        simulation::rate(&mut table);
    }
    println!("\n{table}");
}
