//! Clusters in Kubernetes: found, counted and watched through the API server.
//!
//! A census is a consistent read (lists without a resource version). A watch begins at the census' resource versions
//! and misses nothing: kube's own watcher is not used, since it lists again silently where a gap must be told.

mod baseline;
mod census;
mod client;
mod eks;
mod events;
mod facts;
mod forward;
mod gone;
mod leader_lease;
mod leases;
pub mod rbac;
mod release;
mod slim;
mod watch;
mod wide;

pub use census::{Census, Depth};
pub use client::Kubernetes;
pub use events::{News, OwnPod};
pub use forward::{Forward, Forwarded};
pub use leader_lease::{Claim, LeaderLease, OPEN_WINDOWS};
pub use leases::Leases;
pub use watch::Watch;
pub use wide::{Stray, Unseen, WideLook};

use crate::domain::Reason;

/// A change that matters to a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The UID of the pod that it is about.
    pub uid: Option<String>,
    pub reason: Reason,
}
