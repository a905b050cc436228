//! The Helm chart: rendered with its default and every switch, applied on a real API server, and no right too many.

#![allow(clippy::disallowed_methods, reason = "tests look at the clock")]

#[path = "../support/mod.rs"]
mod support;

mod dashboard;
mod image;
mod manifests;
mod monitoring;
mod pod;
mod render;
mod replicas;
mod rights;
mod server;
mod values;
