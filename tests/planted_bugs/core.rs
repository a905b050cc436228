//! `core FIRST COUNT`: runs these seeds, then what a random seed meets too seldom, and says which promise broke first,
//! if any.
#![allow(warnings)]

mod domain;
mod window;
mod scalar {
    mod answer;
    pub use answer::*;
}
mod sim {
    mod check;
    pub mod faults;
    pub mod gate;
    mod inject;
    mod pods;
    pub mod random;
    mod stores;
    mod traffic;
    mod witness;
    pub mod world;
    pub use check::Violation;
}

use sim::faults::{Fault, Planned};
use sim::world::{Setup, World};

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

fn main() {
    let argument = |index| std::env::args().nth(index).and_then(|text| text.parse::<u64>().ok()).expect("a number");
    let (first, count) = (argument(1), argument(2));
    std::panic::set_hook(Box::new(|_| {}));
    for setup in (first..first + count).map(Setup::seeded).chain(seldom()) {
        let seed = setup.seed;
        let run = std::panic::catch_unwind(|| World::new(&setup).run());
        match run {
            Ok(Ok(_)) => {}
            Ok(Err(violation)) => return println!("{seed} {violation}"),
            Err(_) => return println!("{seed} the code panicked"),
        }
    }
    println!("survived");
}
