//! What the daemon tells the outside: metrics, health, logs. Nothing here decides anything.

mod closed;
pub mod config;
mod configured;
pub mod described;
pub mod health;
pub mod log;
pub mod metrics;
pub mod notices;
mod stores;

pub use health::Health;
pub use metrics::{Ended, Look, Metrics, Past, WindowTotal};
