//! How many faulty windows the simulation runs, and what a long run of it meets.

use super::table::Table;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use stillpoint::domain::Verdict;
use stillpoint::sim::faults::Fault;
use stillpoint::sim::world::{Report, Setup, World};
use stillpoint::window::State;

const ROUNDS: u64 = 5;
const ROUND: Duration = Duration::from_secs(2);
const THREADS: u64 = 2;

/// The same worlds as in `tests/simulation`.
fn run(seed: u64) -> Report {
    let setup = Setup::seeded(seed);
    World::new(&setup).run().unwrap_or_else(|violation| panic!("{setup:?}: {violation}"))
}

/// Faulty windows a second, on one core.
pub fn rate(table: &mut Table) {
    let mut rates = Vec::new();
    let mut seed = 0;
    for _ in 0..ROUNDS {
        let (begun, first) = (Instant::now(), seed);
        while begun.elapsed() < ROUND {
            for _ in 0..100 {
                run(seed);
                seed += 1;
            }
        }
        let windows = u32::try_from(seed - first).expect("not that many");
        rates.push(f64::from(windows) / begun.elapsed().as_secs_f64());
    }
    table.add("faulty windows simulated a second, one core", "1/s", &rates, "10,000");
}

/// What many windows met.
#[derive(Default)]
struct Met {
    verdicts: BTreeMap<Option<Verdict>, u64>,
    pairs: BTreeMap<(State, Fault), u64>,
    beyond_protocol: u64,
    steps: u64,
}

impl Met {
    fn take(&mut self, report: Report) {
        *self.verdicts.entry(report.verdict).or_default() += 1;
        self.beyond_protocol += u64::from(report.beyond_protocol);
        self.steps += u64::from(report.steps);
        for pair in report.met {
            *self.pairs.entry(pair).or_default() += 1;
        }
    }

    fn add(&mut self, other: Self) {
        for (verdict, count) in other.verdicts {
            *self.verdicts.entry(verdict).or_default() += count;
        }
        for (pair, count) in other.pairs {
            *self.pairs.entry(pair).or_default() += count;
        }
        self.beyond_protocol += other.beyond_protocol;
        self.steps += other.steps;
    }
}

/// Runs that many windows, every seed once, and prints what they met. A violation ends the program with its seed.
pub fn long_run(windows: u64) {
    let begun = Instant::now();
    let mut met = Met::default();
    std::thread::scope(|scope| {
        let share = |thread: u64| {
            move || {
                let mut met = Met::default();
                for seed in (thread..windows).step_by(usize::try_from(THREADS).expect("a few")) {
                    met.take(run(seed));
                }
                met
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(share(thread))).collect();
        for thread in threads {
            met.add(thread.join().expect("no violation"));
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = windows as f64 / seconds;
    let states = met.pairs.keys().map(|(state, _)| *state).collect::<std::collections::BTreeSet<_>>().len();
    println!("{windows} faulty windows, seeds 0 to {}, in {seconds:.0} s: {rate:.0} a second", windows.max(1) - 1);
    for (verdict, count) in &met.verdicts {
        println!("  {}: {count}", verdict.map_or("no window was left to conclude", |verdict| verdict.name()));
    }
    println!("  beyond what the protocol shows: {}; steps: {}", met.beyond_protocol, met.steps);
    let (pairs, faults) = (met.pairs.len(), Fault::ALL.len());
    println!("  {pairs} of {} (state, fault) pairs, over {states} states and {faults} faults", states * faults);
    if let Some(((state, fault), count)) = met.pairs.iter().min_by_key(|(_, count)| **count) {
        println!("  the rarest, ({state:?}, {fault:?}), {count} times");
    }
}
