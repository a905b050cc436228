//! Stand-in members that keep the rules measured on real servers: for the demo, the tests and the simulation.

mod check;
pub mod copying;
pub mod faults;
pub mod gate;
mod inject;
pub mod leading;
pub mod member;
mod pods;
pub mod random;
mod server;
mod shared;
mod stores;
mod traffic;
mod wire;
mod witness;
pub mod world;

pub use check::Violation;
pub use gate::{Entry, Flavour, Gate, PauseOutcome};
pub use member::{Call, Load, Request, SimMember, SimTls, Transaction};
