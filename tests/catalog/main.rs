//! Promises of the catalog: what it acknowledges stays, what it cannot promise it refuses, and it never hangs anyone.

mod disk;
mod failover;
mod journal;
mod lease;
mod opening;
mod outbox;
mod prune;
mod server;
#[path = "../support/mod.rs"]
mod servers;
mod slots;
mod support;
mod tracking;
mod volume;
