//! Stillpoint makes one instant at which every Scalar cluster of a group was closed to transactions, proves it,
//! and records it as a restore point.
#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::expect_used, clippy::panic, clippy::unwrap_used))]

pub mod aws;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod engine;
pub mod http;
pub mod kubernetes;
pub mod leadership;
pub mod notify;
pub mod observe;
pub mod scalar;
pub mod sim;
pub mod slots;
pub mod stores;
pub mod tracking;
pub mod window;
