//! The AWS accounts that stores lie in: credentials, clients, one rate limiter an account and call, what errors mean,
//! and the service's clock.

mod account;
mod clock;
mod fault;
mod kind;
mod limits;
pub mod policy;

pub use account::{Account, Aws, Told};
pub use clock::{Dates, Offset};
pub use fault::Fault;
pub use kind::FaultKind;
pub use limits::Limits;
