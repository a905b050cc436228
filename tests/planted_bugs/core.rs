//! `core FIRST COUNT`: runs these seeds, and says which promise broke first, if any.
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

use sim::world::{Setup, World};

fn main() {
    let argument = |index| std::env::args().nth(index).and_then(|text| text.parse::<u64>().ok()).expect("a number");
    let (first, count) = (argument(1), argument(2));
    std::panic::set_hook(Box::new(|_| {}));
    for seed in first..first + count {
        let run = std::panic::catch_unwind(|| World::new(&Setup::seeded(seed)).run());
        match run {
            Ok(Ok(_)) => {}
            Ok(Err(violation)) => return println!("{seed} {violation}"),
            Err(_) => return println!("{seed} the code panicked"),
        }
    }
    println!("survived");
}
