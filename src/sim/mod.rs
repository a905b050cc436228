//! Stand-in members that keep the rules measured on real servers: for the demo, the tests and the simulation.

pub mod gate;

pub use gate::{Entry, Flavour, Gate, PauseOutcome};
