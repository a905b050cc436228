//! Starts the real processes that the tests run against: PostgreSQL, ScalarDB Server, and transfers between them.
//!
//! A test takes the one world of its binary: `let world = World::shared();`. That is a lock: the tests that hold it
//! run one after another, and each gets two PostgreSQL servers and two ScalarDB Servers that are up and open.
//! Everything listens on free ports of this machine and is used over loopback; every process ends with the test
//! process, however that ends. What is missing on the machine fails the test with the way to install it.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod admin;
pub mod kubernetes;
pub mod line;
pub mod panels;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod report;
pub mod scalardb;
pub mod tools;
pub mod transfers;
pub mod world;

use std::time::{Duration, Instant};

/// Asks again every 20 ms until there is an answer; panics with `what` when there is none within `limit`.
pub fn wait_until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {limit:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
