//! AWS: the stand-in that these tests run against, and what runs against it.

#![allow(clippy::disallowed_methods, reason = "tests look at the clock")]

#[path = "../support/aws/mod.rs"]
mod aws;
#[path = "../support/mod.rs"]
mod support;

mod check;
mod crashes;
mod faults;
mod journey;
mod reloads;
mod rig;
mod sdk;
mod stand_in;
mod stores;
mod thousand;
