//! The real program with clusters in Kubernetes: a real API server and its controllers, stand-in members on loopback
//! addresses that pods' statuses carry (in `real`, real ScalarDB Servers), and the program under its own ServiceAccount
//! and Role.

#![allow(clippy::disallowed_methods, reason = "tests look at the clock")]

#[path = "../support/authority.rs"]
mod authority;
#[path = "../support/mod.rs"]
pub mod support;

mod charted;
mod eks;
mod forward;
mod found;
mod guarded;
mod hold;
mod laptop;
mod leases;
mod listed;
mod real;
mod release;
mod rig;
mod rolled;
mod told;
mod wide;
