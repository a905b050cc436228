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

    /// The name in the config.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScalardbCluster => "scalardb-cluster",
            Self::ScalardbServer => "scalardb-server",
            Self::ScalardlLedger => "scalardl-ledger",
            Self::ScalardlAuditor => "scalardl-auditor",
            Self::Custom => "custom",
        }
    }

    /// What the product's Helm chart says in the label `app.kubernetes.io/app`; none for `custom`.
    #[must_use]
    pub const fn app_label(self) -> Option<&'static str> {
        match self {
            Self::ScalardbCluster => Some("scalardb-cluster"),
            Self::ScalardbServer => Some("scalardb"),
            Self::ScalardlLedger => Some("ledger"),
            Self::ScalardlAuditor => Some("auditor"),
            Self::Custom => None,
        }
    }

    /// The admin port's name in the headless Service of the product's Helm chart; none for `custom`.
    #[must_use]
    pub const fn port_name(self) -> Option<&'static str> {
        match self {
            Self::ScalardbCluster => Some("scalardb-cluster"),
            Self::ScalardbServer => Some("scalardb"),
            Self::ScalardlLedger => Some("scalardl-admin"),
            Self::ScalardlAuditor => Some("scalardl-auditor-admin"),
            Self::Custom => None,
        }
    }

    /// Those that have a Helm chart of Scalar's.
    pub const CHARTED: [Self; 4] =
        [Self::ScalardbCluster, Self::ScalardbServer, Self::ScalardlLedger, Self::ScalardlAuditor];

    /// The product behind a chart's label.
    #[must_use]
    pub fn of_app_label(label: &str) -> Option<Self> {
        Self::CHARTED.into_iter().find(|product| product.app_label() == Some(label))
    }
}

impl std::fmt::Display for Product {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
