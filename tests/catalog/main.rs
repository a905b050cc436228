//! Promises of the catalog: what it acknowledges stays, what it cannot promise it refuses, and it never hangs anyone.

mod disk;
mod journal;
mod opening;
mod slots;
mod support;
mod tracking;
mod volume;
