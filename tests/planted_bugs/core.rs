//! `core WHICH FIRST COUNT BUG`: runs these seeds of the windows, the copies or the leaders with that bug, by its number, in the core
//! (0: none), and of windows what a random seed meets too seldom; says which promise broke first, if any.
#![allow(warnings)]

mod aws {
    mod kind;
    pub use kind::FaultKind;
}
mod domain;
mod leadership {
    mod election;
    pub use election::*;
}
mod window;
mod scalar {
    mod answer;
    pub use answer::*;
}
mod tracking {
    pub mod copy;
    pub mod runner;
}
mod sim {
    mod check;
    pub mod copying;
    pub mod faults;
    pub mod gate;
    mod inject;
    pub mod leading;
    mod pods;
    pub mod random;
    mod stores;
    mod traffic;
    mod witness;
    pub mod world;
    pub use check::Violation;
    pub use gate::Gate;
}

static BUG: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// The number of the bug that is in the core now.
pub fn planted() -> u64 {
    BUG.load(std::sync::atomic::Ordering::Relaxed)
}

use sim::faults::{Fault, Planned};
use sim::world::{Setup, World};
use sim::{Violation, copying, leading};

/// A daemon that is stopped before its census, and a pod that is replaced soon after it.
fn seldom() -> impl Iterator<Item = Setup> {
    let steps = (0..10).flat_map(|stop| (stop + 1..16).map(move |replaced| (stop, replaced)));
    (0..100).flat_map(move |seed| {
        steps.clone().map(move |(stop, replaced)| {
            let faults = [(stop, Fault::Stop), (replaced, Fault::PodReplaced)];
            let faults = faults.map(|(step, fault)| Planned { step, fault }).to_vec();
            Setup { seed, clusters: 3, members: 2, pods: true, wrong: None, faults }
        })
    })
}

type Run = Box<dyn FnOnce() -> Result<(), Violation> + std::panic::UnwindSafe>;

fn window(setup: Setup) -> (u64, Run) {
    (setup.seed, Box::new(move || World::new(&setup).run().map(|_| ())))
}

fn copies(seed: u64) -> (u64, Run) {
    (seed, Box::new(move || copying::World::new(&copying::Setup::seeded(seed)).run().map(|_| ())))
}

fn leaders(seed: u64) -> (u64, Run) {
    (seed, Box::new(move || leading::World::new(&leading::Setup::seeded(seed)).run().map(|_| ())))
}

fn main() {
    let argument = |index| std::env::args().nth(index).and_then(|text| text.parse::<u64>().ok()).expect("a number");
    let (first, count) = (argument(2), argument(3));
    BUG.store(argument(4), std::sync::atomic::Ordering::Relaxed);
    let seeds = first..first + count;
    let runs: Box<dyn Iterator<Item = (u64, Run)>> = match std::env::args().nth(1).as_deref() {
        Some("windows") => Box::new(seeds.map(Setup::seeded).chain(seldom()).map(window)),
        Some("copies") => Box::new(seeds.map(copies)),
        Some("leaders") => Box::new(seeds.map(leaders)),
        _ => panic!("windows, copies or leaders"),
    };
    std::panic::set_hook(Box::new(|_| {}));
    for (seed, run) in runs {
        match std::panic::catch_unwind(run) {
            Ok(Ok(_)) => {}
            Ok(Err(violation)) => return println!("{seed} {violation}"),
            Err(_) => return println!("{seed} the code panicked"),
        }
    }
    println!("survived");
}
