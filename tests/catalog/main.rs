//! Promises of the catalog: what it acknowledges stays, what it cannot promise it refuses, and it never hangs anyone.

mod disk;
mod journal;
mod opening;
mod outbox;
mod prune;
#[path = "../support/mod.rs"]
mod servers;
mod slots;
mod support;
mod tracking;
mod volume;
