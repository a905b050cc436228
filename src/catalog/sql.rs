//! Every statement of the catalog, in SQL that SQLite and PostgreSQL share; the pragmas are SQLite's own.

macro_rules! window_columns {
    () => {
        "window_id, group_name, trigger_kind, slot, started, phase, verdict, reasons, evidence, \
         pause_completed, unpause_started, restore_point, closed_microseconds, members"
    };
}

pub(super) const NEXT_EPOCH: &str = "UPDATE leader SET epoch = epoch + 1 WHERE id = 1 RETURNING epoch, identity";
pub(super) const EPOCH: &str = "SELECT epoch FROM leader WHERE id = 1";

pub(super) const EVENTS: &str =
    "SELECT number, epoch, written_at, kind, body FROM events WHERE window_id = $1 ORDER BY number";
pub(super) const OPEN_EVENTS: &str = "SELECT windows.window_id, events.number, events.body \
     FROM windows JOIN events ON events.window_id = windows.window_id \
     WHERE windows.verdict IS NULL ORDER BY windows.started, windows.window_id, events.number";
pub(super) const INSERT_EVENT: &str =
    "INSERT INTO events (window_id, number, epoch, written_at, kind, body) VALUES ($1, $2, $3, $4, $5, $6)";

pub(super) const UPSERT_WINDOW: &str = concat!(
    "INSERT INTO windows (",
    window_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
     ON CONFLICT (window_id) DO UPDATE SET phase = excluded.phase, verdict = excluded.verdict, \
     reasons = excluded.reasons, evidence = excluded.evidence, pause_completed = excluded.pause_completed, \
     unpause_started = excluded.unpause_started, restore_point = excluded.restore_point, \
     closed_microseconds = excluded.closed_microseconds, members = excluded.members"
);
pub(super) const WINDOW: &str = concat!("SELECT ", window_columns!(), " FROM windows WHERE window_id = $1");
pub(super) const HISTORY: &str =
    concat!("SELECT ", window_columns!(), " FROM windows ORDER BY started DESC, window_id DESC LIMIT $1");
pub(super) const HISTORY_OF_GROUP: &str = concat!(
    "SELECT ",
    window_columns!(),
    " FROM windows WHERE group_name = $2 ORDER BY started DESC, window_id DESC LIMIT $1"
);
pub(super) const POINTS: &str = concat!(
    "SELECT ",
    window_columns!(),
    " FROM windows WHERE restore_point IS NOT NULL ORDER BY restore_point DESC LIMIT $1"
);
pub(super) const POINTS_OF_GROUP: &str = concat!(
    "SELECT ",
    window_columns!(),
    " FROM windows WHERE group_name = $2 AND restore_point IS NOT NULL ORDER BY restore_point DESC LIMIT $1"
);
pub(super) const LAST_POINT: &str =
    "SELECT MAX(restore_point) FROM windows WHERE group_name = $1 AND restore_point IS NOT NULL";

pub(super) const COUNT_WINDOW: &str = "INSERT INTO totals (group_name, verdict, reason_code, windows) \
     VALUES ($1, $2, $3, 1) \
     ON CONFLICT (group_name, verdict, reason_code) DO UPDATE SET windows = totals.windows + 1";
pub(super) const TOTALS: &str =
    "SELECT group_name, verdict, reason_code, windows FROM totals ORDER BY group_name, verdict, reason_code";

pub(super) const SEE_GROUP: &str =
    "INSERT INTO groups_seen (group_name, first_seen) VALUES ($1, $2) ON CONFLICT (group_name) DO NOTHING";
pub(super) const GROUP_SEEN: &str = "SELECT first_seen FROM groups_seen WHERE group_name = $1";

pub(super) const PLAN_SLOT: &str = "INSERT INTO slots (group_name, slot, state, attempts, epoch) \
     VALUES ($1, $2, 'planned', 0, $3) ON CONFLICT (group_name, slot) DO NOTHING";
pub(super) const START_SLOT: &str = "INSERT INTO slots (group_name, slot, state, attempts, epoch) \
     VALUES ($1, $2, 'running', 1, $3) \
     ON CONFLICT (group_name, slot) DO UPDATE SET state = 'running', attempts = 1, epoch = excluded.epoch \
     WHERE slots.state = 'planned'";
pub(super) const COUNT_ATTEMPT: &str = "UPDATE slots SET attempts = attempts + 1, epoch = $3 \
     WHERE group_name = $1 AND slot = $2 AND state = 'running' RETURNING attempts";
pub(super) const FINISH_SLOT: &str = "UPDATE slots SET state = 'done', epoch = $3 \
     WHERE group_name = $1 AND slot = $2 AND state IN ('planned', 'running')";
pub(super) const MISS_SLOT: &str = "INSERT INTO slots (group_name, slot, state, attempts, epoch) \
     VALUES ($1, $2, 'missed', 0, $3) \
     ON CONFLICT (group_name, slot) DO UPDATE SET state = 'missed', epoch = excluded.epoch \
     WHERE slots.state IN ('planned', 'running')";
/// Only a slot that no window was begun for may be planned again.
pub(super) const RELEASE_SLOT: &str = "UPDATE slots SET state = 'planned', attempts = 0, epoch = $3 \
     WHERE group_name = $1 AND slot = $2 AND state = 'running' AND NOT EXISTS \
     (SELECT 1 FROM windows WHERE windows.group_name = $1 AND windows.slot = $2)";
pub(super) const UNFINISHED_SLOTS: &str = "SELECT group_name, slot, state, attempts, epoch FROM slots \
     WHERE group_name = $1 AND state IN ('planned', 'running') ORDER BY slot";
pub(super) const LAST_SLOT: &str = "SELECT group_name, slot, state, attempts, epoch FROM slots \
     WHERE group_name = $1 ORDER BY slot DESC LIMIT 1";

/// Taken at once: two writers must not both read before either writes.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";
pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";
pub(super) const APPLICATION_ID: &str = "PRAGMA application_id";
pub(super) const FOREIGN_TABLES: &str = "SELECT COUNT(*) FROM sqlite_master WHERE name NOT LIKE '%sqlx_migrations%'";
pub(super) const APPLIED: &str = "SELECT MAX(version) FROM _sqlx_migrations";
pub(super) const SET_WAL: &str = "PRAGMA journal_mode = WAL";
pub(super) const SET_FULL: &str = "PRAGMA synchronous = FULL";
pub(super) const JOURNAL_MODE: &str = "PRAGMA journal_mode";
pub(super) const SYNCHRONOUS: &str = "PRAGMA synchronous";
pub(super) const PAGE_COUNT: &str = "PRAGMA page_count";
pub(super) const PAGE_SIZE: &str = "PRAGMA page_size";
pub(super) const CHECKPOINT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
pub(super) const INTEGRITY: &str = "PRAGMA integrity_check(20)";
pub(super) const FOREIGN_KEYS: &str = "PRAGMA foreign_key_check";
