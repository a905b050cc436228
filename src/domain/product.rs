use serde::{Deserialize, Serialize};

/// A product that serves the Scalar admin interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Product {
    /// ScalarDB Cluster, admin port 60053.
    ScalardbCluster,
    /// ScalarDB Server, admin port 60051.
    ScalardbServer,
    /// ScalarDL Ledger, admin port 50053.
    ScalardlLedger,
    /// ScalarDL Auditor, admin port 40053.
    ScalardlAuditor,
    /// Any other application that serves the admin interface.
    Custom,
}

impl Product {
    /// The admin port of the product's Helm chart; none for `custom`.
    #[must_use]
    pub const fn admin_port(self) -> Option<u16> {
        match self {
            Self::ScalardbCluster => Some(60053),
            Self::ScalardbServer => Some(60051),
            Self::ScalardlLedger => Some(50053),
            Self::ScalardlAuditor => Some(40053),
            Self::Custom => None,
        }
    }
}
