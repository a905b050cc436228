//! Stand-in members that keep the rules measured on real servers: for the demo, the tests and the simulation.

pub mod gate;
pub mod member;
mod server;
mod shared;
mod wire;

pub use gate::{Entry, Flavour, Gate, PauseOutcome};
pub use member::{Call, Load, Request, SimMember, SimTls, Transaction};
