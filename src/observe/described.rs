//! Every metric by name, once: the registry's help texts and `dashboards/metrics.md` both come from here.

use std::fmt::Write as _;

/// What Prometheus is told a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by size.
    Histogram,
}

impl Kind {
    /// The word of the exposition format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric as people read about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// With its unit at the end.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// The names of its labels, in the order of their values.
    pub labels: &'static [&'static str],
    /// The unit of its value, for the reference.
    pub unit: &'static str,
    /// One sentence, also the help text of the exposition.
    pub meaning: &'static str,
}

const GROUP: &[&str] = &["group"];
// Not `cluster`: a scrape config's own `cluster` and `namespace` would overwrite it.
const CLUSTER: &[&str] = &["group", "scalar_cluster"];
const STORE: &[&str] = &["group", "store"];
const STORE_STATE: &[&str] = &["group", "store", "state"];

macro_rules! metrics {
    ($($constant:ident: $kind:ident $name:literal $labels:expr, $unit:literal, $meaning:literal;)+) => {
        $(pub(super) const $constant: Description = Description {
            name: $name, kind: Kind::$kind, labels: $labels, unit: $unit, meaning: $meaning,
        };)+
        const ALL: &[Description] = &[$($constant),+];
    };
}

metrics! {
    WINDOWS: Counter "stillpoint_windows_total" &["group", "verdict", "reason"], "windows",
        "Windows by verdict and first reason (empty when consistent or missed), counted in the catalog, so a restart does not reset it; the usual pairs are there from the first scrape, others once they happened.";
    SLOTS_MISSED: Counter "stillpoint_slots_missed_total" GROUP, "slots",
        "Slots of the schedule that passed without an attempt.";
    LAST_CONSISTENT: Gauge "stillpoint_last_consistent_timestamp_seconds" GROUP, "Unix time",
        "The last restore point; absent until there is one.";
    FIRST_SEEN: Gauge "stillpoint_group_first_seen_timestamp_seconds" GROUP, "Unix time",
        "When the catalog first heard of the group.";
    NEXT_SLOT: Gauge "stillpoint_next_slot_timestamp_seconds" GROUP, "Unix time",
        "The next slot of the schedule that runs; absent without a schedule, and while it is suspended.";
    EXPECTED_INTERVAL: Gauge "stillpoint_expected_interval_seconds" GROUP, "seconds",
        "The longest time between two slots of the schedule, and around now as blackouts leave them; absent without a schedule, and while it is suspended.";
    OBJECTIVE: Gauge "stillpoint_objective_seconds" GROUP, "seconds",
        "How old the newest restore point may become: `objective` in the config, or one interval of the schedule and as much again, at most two hours more; absent without either.";
    CLUSTER_INFO: Gauge "stillpoint_cluster_info" &["group", "scalar_cluster", "product"], "1",
        "A cluster of the config, there before anybody looked at its members; the value is always 1.";
    STORE_INFO: Gauge "stillpoint_store_info" &["group", "store", "kind"], "1",
        "A store of the config, there before anybody looked at it; the value is always 1.";
    DISCARDED_IN_A_ROW: Gauge "stillpoint_windows_discarded_in_a_row" GROUP, "windows",
        "Windows discarded since the last consistent one, out of the catalog; those that a person ended are not counted.";
    MAX_PAUSE: Gauge "stillpoint_max_pause_seconds" GROUP, "seconds",
        "The configured limit from the first pause request to the first unpause request.";
    PAUSE_DEADLINE: Gauge "stillpoint_pause_deadline_timestamp_seconds" GROUP, "Unix time",
        "When the daemon's pause that stands now must be over at the latest; absent when it holds none.";
    WINDOW_RUNNING: Gauge "stillpoint_window_running" GROUP, "0 or 1",
        "Whether a window of the group runs, preflight and opening included.";
    MEMBERS: Gauge "stillpoint_members" CLUSTER, "members",
        "Members that discovery knows.";
    MEMBERS_PAUSED: Gauge "stillpoint_members_paused" CLUSTER, "members",
        "Members that answered CheckPaused with true at the last look, whoever paused them; asked between windows too.";
    MEMBERS_UNANSWERED: Gauge "stillpoint_members_unanswered" CLUSTER, "members",
        "Members that did not answer the last look.";
    MEMBERS_DOUBTFUL: Gauge "stillpoint_members_doubtful" GROUP, "members",
        "Members of open intents that are not yet known to be open.";
    WINDOW_CLOSED: Histogram "stillpoint_window_closed_seconds" GROUP, "seconds",
        "From the first pause request to the last member seen open.";
    WINDOW_QUIET: Histogram "stillpoint_window_quiet_seconds" GROUP, "seconds",
        "The quiet interval, from the last acknowledgement to just before the first unpause request.";
    CLOSED: Counter "stillpoint_closed_seconds_total" GROUP, "seconds",
        "How long members were closed, from each first pause request to the last member seen open, in windows of any verdict and pauses by hand; counted in the catalog, so a restart does not reset it.";
    CLOSED_MONTH: Gauge "stillpoint_closed_month_seconds" GROUP, "seconds",
        "The same, of the windows that began in this calendar month of the schedule's time zone.";
    CLOSED_BUDGET: Gauge "stillpoint_closed_budget_seconds" GROUP, "seconds",
        "The configured `closed_budget` of a calendar month; absent without one.";
    WINDOW_OVERSHOOT: Histogram "stillpoint_window_overshoot_seconds" GROUP, "seconds",
        "How much longer than needed members were closed: the closed seconds less the quiet interval, of which no more than the configured hold counts; all of them where there was no quiet interval.";
    DRAIN: Histogram "stillpoint_drain_seconds" GROUP, "seconds",
        "From the first pause request to the last acknowledgement.";
    UNLISTED: Gauge "stillpoint_unlisted_workloads" &["context", "kubernetes_namespace"], "workloads",
        "Scalar workloads that no group names, at the last look over all namespaces of Kubernetes; absent where that look is not permitted or failed.";
    RESTORE_POINTS: Gauge "stillpoint_restore_points" STORE_STATE, "restore points",
        "Restore points that are followed in a store, by how far the store has come with them.";
    POINTS_ENDED: Counter "stillpoint_restore_points_ended_total" STORE_STATE, "restore points",
        "Restore points that became `lost`, `failed` or `expired` in a store, counted since the process started.";
    LATEST_RESTORABLE: Gauge "stillpoint_latest_restorable_timestamp_seconds" STORE, "Unix time",
        "Up to when the store said last that it can be restored, the least of its parts; asked only while a restore point depends on it, absent until known.";
    OLDEST_WAITING: Gauge "stillpoint_oldest_waiting_timestamp_seconds" STORE_STATE, "Unix time",
        "The oldest restore point whose state is `waiting` or `materializing`, each for itself; absent when there is none.";
    LAST_RESTORABLE: Gauge "stillpoint_last_restorable_timestamp_seconds" STORE, "Unix time",
        "The newest restore point to which the store can be restored now; absent when there is none.";
    LAST_MATERIALIZED: Gauge "stillpoint_last_materialized_timestamp_seconds" STORE, "Unix time",
        "The newest restore point of which every table has its backup; absent when there is none.";
    RESTORABLE_UNTIL: Gauge "stillpoint_restorable_until_timestamp_seconds" STORE, "Unix time",
        "When point-in-time recovery no longer reaches back to the newest restorable point; absent when it is not known, and when that point is materialized: its backups stay.";
    COPIES: Gauge "stillpoint_copies" &["group", "store", "step"], "tables",
        "Tables of the restore points that are being materialized, by step.";
    MATERIALIZED_TABLES: Counter "stillpoint_materialized_tables_total" STORE, "tables",
        "Tables materialized, counted in the catalog, so a restart does not reset it.";
    MATERIALIZED_BYTES: Counter "stillpoint_materialized_bytes_total" STORE, "bytes",
        "The size of the tables materialized, as AWS estimates it, counted in the catalog.";
    MATERIALIZE_COST: Counter "stillpoint_materialize_cost_dollars_total" STORE, "US dollars",
        "What restoring these bytes costs at `prices.restore` as it is configured now; keeping the backups is not in it.";
    ORPHANS: Gauge "stillpoint_orphans" &["group", "store", "kind"], "tables or backups",
        "What bears the names of this catalog's materializing, but is not in it, at the last sweep; absent until the first.";
    AWS_CALLS: Counter "stillpoint_aws_calls_total" &["account", "region", "operation", "outcome"], "calls",
        "Calls of AWS since the process started, by outcome: `ok`, `throttled`, `denied`, `lost` (nothing is known of it), `other`.";
    STORE_RECOVERABLE: Gauge "stillpoint_store_recoverable" STORE, "0 or 1",
        "Whether everything of the store could be restored to a point in time at the last look, before a window or at its restore points; absent until there was one.";
    STORE_CLOCK: Gauge "stillpoint_store_clock_offset_seconds" &["group", "store", "bound"], "seconds",
        "The store's clock minus the daemon's, at the last window: at least (`low`) and at most (`high`).";
    NOTIFICATIONS: Counter "stillpoint_notifications_total" &["webhook", "outcome"], "events",
        "Events by what came of them since the process started: `delivered`, `retried` (sent in vain, to be sent again), `given_up` (not told in 24 h, more than 1000 waiting, or 410).";
    NOTIFICATIONS_WAITING: Gauge "stillpoint_notifications_waiting" &["webhook"], "events",
        "Events that a webhook has not taken yet; absent until it was looked at.";
    NOTIFICATION_OLDEST: Gauge "stillpoint_notification_oldest_waiting_timestamp_seconds" &["webhook"], "Unix time",
        "Since when the oldest event waits that a webhook has not taken; absent when none waits.";
    HEARTBEATS: Counter "stillpoint_heartbeats_total" &["group", "outcome"], "requests",
        "Heartbeats after consistent windows, by what came of them since the process started: `delivered`, `retried`, `given_up` (not taken within an hour, or before the next one).";
    CATALOG_APPEND: Histogram "stillpoint_catalog_append_seconds" &[], "seconds",
        "How long a durable append to the catalog took.";
    CATALOG_ERRORS: Counter "stillpoint_catalog_errors_total" &[], "errors",
        "Catalog operations that failed or stalled.";
    CATALOG_SIZE: Gauge "stillpoint_catalog_size_bytes" &[], "bytes",
        "The size of the catalog: its file, or its tables and indexes in PostgreSQL; absent until it was measured.";
    READY: Gauge "stillpoint_ready" &[], "0 or 1",
        "Whether /readyz says ready.";
    LOOP_ALIVE: Gauge "stillpoint_loop_alive" &[], "0 or 1",
        "Whether /healthz says alive: the daemon's loop was heard of lately.";
    LOG_DROPPED: Counter "stillpoint_log_lines_dropped_total" &[], "lines",
        "Log lines dropped because standard error did not take them.";
    CONFIG_RELOADS: Counter "stillpoint_config_reloads_total" &["outcome"], "reloads",
        "Configs that were read while the daemon ran, since the process started: `applied`, `refused` (the old one goes on), `unchanged`.";
    CONFIG_SUCCESSFUL: Gauge "stillpoint_config_last_reload_successful" &[], "0 or 1",
        "Whether the config as it lies in its files is the one that runs; 0 from a refused one on.";
    CONFIG_SUCCESS: Gauge "stillpoint_config_last_reload_success_timestamp_seconds" &[], "Unix time",
        "When a config was taken up, or found unchanged by whoever asked for a reload, for the last time.";
    CONFIG_INFO: Gauge "stillpoint_config_info" &["hash"], "1",
        "A short hash of the files and variables that make up the config that runs; the value is always 1.";
    ROLE: Gauge "stillpoint_role" &["role"], "1",
        "What this process is: `alone` (there is no other replica), `leader`, `standby`, or `guard`.";
    BUILD: Gauge "stillpoint_build_info" &["version"], "1",
        "The version that runs; the value is always 1.";
    START_TIME: Gauge "stillpoint_start_time_seconds" &[], "Unix time",
        "When the process started.";
}

/// Every metric that the daemon exports, in the order of the reference.
#[must_use]
pub const fn describe() -> &'static [Description] {
    ALL
}

/// The reference page, `dashboards/metrics.md`.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         Generated from `src/observe/described.rs`; after a change run `UPDATE=1 cargo test --lib observe::described`.\n\
         Served on `/metrics`. Units are base units; labels are never called `namespace` or `cluster`, which scrapes overwrite.\n\
         A group's, cluster's or store's series vanish with it; a value that is not known is absent, never 0.\n\n\
         | name | type | labels | unit | meaning |\n|---|---|---|---|---|\n",
    );
    for metric in ALL {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            metric.name,
            metric.kind.name(),
            labels.join(", "),
            metric.unit,
            metric.meaning
        );
    }
    page.push_str("\nReasons (label `reason` of `stillpoint_windows_total`):\n\n| reason | meaning |\n|---|---|\n");
    for code in crate::domain::Code::ALL {
        let _ = writeln!(page, "| `{}` | {} |", code.name(), code.meaning().trim());
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_page_is_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards/metrics.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, reference()).expect("write the reference");
        }
        let committed = std::fs::read_to_string(path).expect("dashboards/metrics.md");
        assert!(
            committed == reference(),
            "dashboards/metrics.md is not what the code says: run `UPDATE=1 cargo test --lib observe::described`"
        );
    }

    #[test]
    fn no_label_is_one_that_a_scrape_overwrites() {
        for metric in describe() {
            for label in metric.labels {
                assert!(!["namespace", "cluster", "job", "instance", "pod"].contains(label), "{}", metric.name);
            }
        }
    }
}
