//! What holds where nobody wrote anything, in the words a user would write.

pub const CATALOG: &str = "sqlite:///var/lib/stillpoint/catalog.db";
/// With a catalog on PostgreSQL; else it is beside the catalog.
pub const SOCKET: &str = "/run/stillpoint/stillpoint.sock";
/// Loopback: who wants to be scraped from elsewhere says so, as `config/default.yaml` does.
pub const HTTP: &str = "127.0.0.1:9650";
pub const SWEEP_INTERVAL: &str = "1m";
pub const COVERAGE_INTERVAL: &str = "1h";
/// With one retry and one fan-out, a standby has opened everything within 10 s.
pub const LEASE_LASTS: &str = "6s";
pub const LEASE_RETRY: &str = "1s";
pub const LEASE_NAME: &str = "stillpoint";
/// Longer than a year, so that last year's can be compared with.
pub const HISTORY: &str = "400d";

pub const TIME_ZONE: &str = "UTC";
pub const LEAD: &str = "2m";
pub const STARTING_DEADLINE: &str = "1h";
pub const REFUSED_RETRY: &str = "1m";
pub const ATTEMPTS: u32 = 2;
pub const RETRY_DELAY: &str = "5m";

pub const HOLD: &str = "10s";
pub const DRAIN: &str = "30s";
pub const MAX_PAUSE: &str = "60s";

pub const STAGE: u32 = 0;

/// ScalarDB's own names.
pub const COORDINATOR: &str = "coordinator";
pub const METADATA: &str = "scalardb";

pub const PREFLIGHT: &str = "refuse";
pub const MATERIALIZE: &str = "always";
pub const INDEXES: bool = true;
pub const RESTORES_AT_ONCE: u32 = 40;
pub const MATERIALIZE_LIMIT: &str = "12h";
pub const ORPHANS: &str = "report";
/// US dollars a GB, the list prices of us-east-1.
pub const RESTORE_PRICE: f64 = 0.15;
/// The same, a month.
pub const BACKUP_PRICE: f64 = 0.10;
