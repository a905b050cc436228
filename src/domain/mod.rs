//! The words of the design as plain types: no IO, no clock.

pub mod notice;
pub mod pod;
pub mod product;
pub mod quiet;
pub mod reason;
pub mod time;
pub mod verdict;

pub use notice::Notice;
pub use pod::{Gone, Owner, Pod};
pub use product::Product;
pub use quiet::{Interval, StoreClock, restore_point};
pub use reason::{Code, Reason};
pub use time::{Now, PAUSE_MARGIN};
pub use verdict::{Evidence, Trigger, Verdict};

use serde::{Deserialize, Serialize};

/// One pod or address of a cluster that serves the Scalar admin interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// The cluster's name in the config.
    pub cluster: String,
    /// What a person calls it: the pod's name, or the address itself.
    pub name: String,
    /// `host:port` of the admin interface, as it is dialled.
    pub address: String,
    /// Clusters of a lower stage are paused first; the default is one stage, 0.
    pub stage: u32,
    /// What Kubernetes knows of it; none for a member that is only an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
}

impl std::fmt::Display for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.cluster, self.name)
    }
}
