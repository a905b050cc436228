//! Who leads: one replica runs windows, the others stand by.
//!
//! A lease says who it is, a Lease of Kubernetes or a row of the catalog in PostgreSQL; the catalog's epoch keeps a
//! replica that does not know better from writing. While a window is open, its intent stands on the Lease as well, for
//! whoever has neither database nor volume: `stillpoint guard`, and a person with kubectl.

mod election;
mod intent;
mod keeper;

pub use election::{ABSENT, Ask, Election, Taken, Terms};
pub use intent::{Intent, Intents};
pub use keeper::{Leadership, Record, Tenure};
