//! The real program on real servers: two ScalarDB Servers over two PostgreSQL servers, with transfers running.
//!
//! What a window claims is held against the databases' own write-ahead logs. The tests share one world and run one
//! after another.

#![allow(clippy::disallowed_methods, reason = "tests look at the clock")]

#[path = "../support/mod.rs"]
pub mod support;

mod crashes;
mod foreign;
mod rig;
mod stops;
mod troubles;
mod windows;
