//! One environment: layers, types, validation.

mod model;

pub use model::{Cluster, Config, Daemon, Group, Schedule, Source, Tls, WindowSettings};
