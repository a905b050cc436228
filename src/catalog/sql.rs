//! The statements of the catalog, in SQL that SQLite and PostgreSQL share.

macro_rules! window_columns {
    () => {
        "window_id, group_name, trigger_kind, slot, started, phase, verdict, reasons, evidence, \
         pause_completed, unpause_started, restore_point, closed_microseconds, members"
    };
}

/// Windows from before $1 that have ended, that can be restored to in no store, that have no backup or temporary table
/// of ours, and that are not the last consistent ones of their groups.
macro_rules! prunable {
    () => {
        "windows.started < $1 AND windows.verdict IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM tracks WHERE tracks.window_id = windows.window_id \
         AND tracks.state NOT IN ('lost', 'expired')) \
         AND NOT EXISTS (SELECT 1 FROM copies WHERE copies.window_id = windows.window_id \
         AND copies.step NOT IN ('failed', 'expired')) \
         AND (windows.restore_point IS NULL OR EXISTS (SELECT 1 FROM windows AS later \
         WHERE later.group_name = windows.group_name AND later.restore_point > windows.restore_point))"
    };
}

/// Restore points, each with its tracks: one row a track, or one without any.
macro_rules! points {
    ($which:literal) => {
        concat!(
            "SELECT points.*, tracks.store_name AS track_store, tracks.state AS track_state, \
             tracks.body AS track_body FROM (SELECT ",
            window_columns!(),
            " FROM windows ",
            $which,
            ") AS points LEFT JOIN tracks ON tracks.window_id = points.window_id \
             ORDER BY points.restore_point DESC, points.window_id DESC, tracks.store_name"
        )
    };
}

pub(super) const NEXT_EPOCH: &str = "UPDATE leader SET epoch = epoch + 1, holder = $1, \
     identity = COALESCE(identity, $2) WHERE id = 1 RETURNING epoch, identity";

pub(super) const EVENTS: &str =
    "SELECT number, epoch, written_at, kind, body FROM events WHERE window_id = $1 ORDER BY number";
/// SQLite carries a CROSS JOIN out from left to right, and the sign keeps it from the index of all windows: recovery
/// reads the few that are open, however many there are.
pub(super) const OPEN_EVENTS: &str = "SELECT windows.window_id, events.number, events.body \
     FROM windows CROSS JOIN events \
     WHERE events.window_id = windows.window_id AND windows.verdict IS NULL ORDER BY +windows.started, windows.window_id, events.number";
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
pub(super) const POINTS: &str =
    points!("WHERE restore_point IS NOT NULL ORDER BY restore_point DESC, window_id DESC LIMIT $1");
pub(super) const POINTS_OF_GROUP: &str =
    points!("WHERE group_name = $2 AND restore_point IS NOT NULL ORDER BY restore_point DESC, window_id DESC LIMIT $1");
pub(super) const POINT_BY_WINDOW: &str = points!("WHERE restore_point IS NOT NULL AND window_id = $1");
pub(super) const POINT_BY_INSTANT: &str =
    points!("WHERE restore_point = $1 ORDER BY restore_point DESC, window_id DESC LIMIT 100");
/// The journals of the newest windows, and how those ended: one row an event, or one without any.
pub(super) const NEWEST_JOURNALS: &str = "SELECT newest.window_id, newest.verdict, newest.restore_point, events.number, \
     events.body FROM (SELECT window_id, started, verdict, restore_point FROM windows \
     ORDER BY started DESC, window_id DESC LIMIT $1) AS newest LEFT JOIN events ON events.window_id = newest.window_id \
     ORDER BY newest.started DESC, newest.window_id DESC, events.number";
pub(super) const LAST_POINT: &str =
    "SELECT MAX(restore_point) FROM windows WHERE group_name = $1 AND restore_point IS NOT NULL";
/// The newest windows only: a start must not read all that were ever discarded.
pub(super) const DISCARDED_IN_A_ROW: &str = "WITH newest AS (SELECT started, trigger_kind, verdict FROM windows \
     WHERE group_name = $1 ORDER BY started DESC, window_id DESC LIMIT 1000) \
     SELECT COUNT(*) FROM newest WHERE verdict = 'discarded' AND trigger_kind <> 'hand' AND started > \
     COALESCE((SELECT MAX(started) FROM newest WHERE verdict = 'consistent'), -1)";

pub(super) const COUNT_WINDOW: &str = "INSERT INTO totals (group_name, verdict, reason_code, windows) \
     VALUES ($1, $2, $3, 1) \
     ON CONFLICT (group_name, verdict, reason_code) DO UPDATE SET windows = totals.windows + 1";
pub(super) const TOTALS: &str =
    "SELECT group_name, verdict, reason_code, windows FROM totals ORDER BY group_name, verdict, reason_code";

pub(super) const SEE_GROUP: &str =
    "INSERT INTO groups_seen (group_name, first_seen) VALUES ($1, $2) ON CONFLICT (group_name) DO NOTHING";
pub(super) const GROUP_SEEN: &str = "SELECT first_seen FROM groups_seen WHERE group_name = $1";

/// One that was missed or skipped although it is still to come was so by a clock that has been set back since.
pub(super) const PLAN_SLOT: &str = "INSERT INTO slots (group_name, slot, state, attempts, epoch) \
     VALUES ($1, $2, 'planned', 0, $3) \
     ON CONFLICT (group_name, slot) DO UPDATE SET state = 'planned', epoch = excluded.epoch \
     WHERE slots.state IN ('missed', 'skipped')";
pub(super) const PLAN_BY: &str = "INSERT INTO plans (group_name, schedule) VALUES ($1, $2) \
     ON CONFLICT (group_name) DO UPDATE SET schedule = excluded.schedule";
pub(super) const PLANNED_BY: &str = "SELECT schedule FROM plans WHERE group_name = $1";
pub(super) const PLANNED_BY_NONE: &str = "DELETE FROM plans WHERE group_name = $1";
pub(super) const UNPLAN_OTHERS: &str = "DELETE FROM slots WHERE group_name = $1 AND slot <> $2 AND state = 'planned'";
pub(super) const UNPLAN_SLOTS: &str = "DELETE FROM slots WHERE group_name = $1 AND state = 'planned' AND slot > $2";
/// A failover to a copy that has not got the last changes can lose the slot's row after its window was written.
pub(super) const START_SLOT: &str = "INSERT INTO slots (group_name, slot, state, attempts, epoch) \
     SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT), 'running', 1, CAST($3 AS BIGINT) WHERE NOT EXISTS (SELECT 1 FROM windows \
     WHERE windows.group_name = $1 AND windows.slot = $2 \
     AND (windows.verdict IS NULL OR windows.verdict NOT IN ('missed', 'skipped'))) \
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
pub(super) const SKIP_SLOT: &str = "INSERT INTO slots (group_name, slot, state, attempts, epoch) \
     VALUES ($1, $2, 'skipped', 0, $3) \
     ON CONFLICT (group_name, slot) DO UPDATE SET state = 'skipped', epoch = excluded.epoch \
     WHERE slots.state = 'planned'";
/// Only a slot that no window was begun for may be planned again.
pub(super) const RELEASE_SLOT: &str = "UPDATE slots SET state = 'planned', attempts = 0, epoch = $3 \
     WHERE group_name = $1 AND slot = $2 AND state = 'running' AND NOT EXISTS \
     (SELECT 1 FROM windows WHERE windows.group_name = $1 AND windows.slot = $2)";
pub(super) const UNFINISHED_SLOTS: &str = "SELECT group_name, slot, state, attempts, epoch FROM slots \
     WHERE group_name = $1 AND state IN ('planned', 'running') ORDER BY slot";
pub(super) const LAST_SLOT: &str = "SELECT group_name, slot, state, attempts, epoch FROM slots \
     WHERE group_name = $1 AND slot <= $2 ORDER BY slot DESC LIMIT 1";

pub(super) const COUNT_CLOSED: &str = "INSERT INTO closed (group_name, quarter, microseconds) VALUES ($1, $2, $3) \
     ON CONFLICT (group_name, quarter) DO UPDATE SET microseconds = closed.microseconds + excluded.microseconds";
pub(super) const CLOSED: &str = "SELECT COALESCE(CAST(SUM(microseconds) AS BIGINT), 0) FROM closed \
     WHERE group_name = $1 AND quarter >= $2";

pub(super) const ENDED: &str = "SELECT COUNT(*) FROM windows WHERE window_id = $1 AND verdict IS NOT NULL";
pub(super) const UPSERT_CAPTURE: &str = "INSERT INTO captures (window_id, store_name, epoch, written_at, body) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (window_id, store_name) \
     DO UPDATE SET epoch = excluded.epoch, written_at = excluded.written_at, body = excluded.body";
pub(super) const CAPTURE: &str = "SELECT body FROM captures WHERE window_id = $1 AND store_name = $2";
pub(super) const CAPTURED_STORES: &str = "SELECT store_name FROM captures WHERE window_id = $1";
pub(super) const DELETE_CAPTURES: &str = "DELETE FROM captures WHERE window_id = $1";
/// A window whose process died before its first event has no row, and never will. Found by the index alone.
pub(super) const STRAY_CAPTURES: &str = "SELECT DISTINCT window_id FROM captures WHERE NOT EXISTS \
     (SELECT 1 FROM windows WHERE windows.window_id = captures.window_id)";
pub(super) const DELETE_STRAY_CAPTURES: &str = "DELETE FROM captures WHERE window_id = $1 AND epoch < $2 AND NOT EXISTS \
     (SELECT 1 FROM windows WHERE windows.window_id = captures.window_id)";

pub(super) const INSERT_TRACKS: &str = "INSERT INTO tracks \
     (window_id, store_name, group_name, restore_point, state, changed_at, epoch, body) VALUES ";
pub(super) const UPDATE_TRACK: &str = "UPDATE tracks SET state = $3, changed_at = $4, epoch = $5, body = $6 \
     WHERE window_id = $1 AND store_name = $2";
pub(super) const STATE_OF_TRACK: &str = "SELECT state FROM tracks WHERE window_id = $1 AND store_name = $2";
pub(super) const LIVE_TRACKS: &str = "SELECT window_id, store_name, state, body FROM tracks \
     WHERE group_name = $1 AND store_name = $2 AND state NOT IN ('lost', 'expired') ORDER BY restore_point";
pub(super) const TRACKS: &str =
    "SELECT window_id, store_name, state, body FROM tracks WHERE window_id = $1 ORDER BY store_name";

pub(super) const INSERT_COPIES: &str = "INSERT INTO copies \
     (window_id, store_name, source, group_name, step, name, backup_arn, bytes, changed_at, epoch, body) VALUES ";
pub(super) const UNLESS_THERE: &str = " ON CONFLICT (window_id, store_name, source) DO NOTHING";
pub(super) const STEP_OF_COPY: &str =
    "SELECT group_name, step, name FROM copies WHERE window_id = $1 AND store_name = $2 AND source = $3";
pub(super) const UPDATE_COPY: &str = "UPDATE copies SET step = $4, backup_arn = $5, bytes = $6, changed_at = $7, \
     epoch = $8, body = $9 WHERE window_id = $1 AND store_name = $2 AND source = $3";
pub(super) const COPIES: &str = "SELECT window_id, store_name, source, step, body FROM copies \
     WHERE window_id = $1 AND store_name = $2 ORDER BY source";
pub(super) const COPY_COUNTS: &str =
    "SELECT step, COUNT(*) FROM copies WHERE window_id = $1 AND store_name = $2 GROUP BY step";
pub(super) const FIRST_KNOWN_NAMES: &str = "SELECT name, step, backup_arn FROM copies \
     WHERE name >= $1 AND name <= $2 ORDER BY name LIMIT $3";
pub(super) const KNOWN_NAMES: &str = "SELECT name, step, backup_arn FROM copies \
     WHERE name > $1 AND name <= $2 ORDER BY name LIMIT $3";
pub(super) const KEPT: &str = "SELECT COUNT(*), COALESCE(CAST(SUM(bytes) AS BIGINT), 0) FROM copies \
     WHERE group_name = $1 AND store_name = $2 AND step IN ('done', 'expiring')";
pub(super) const COUNT_RESTORED: &str = "INSERT INTO restored (group_name, store_name, tables, bytes) \
     VALUES ($1, $2, 1, $3) ON CONFLICT (group_name, store_name) \
     DO UPDATE SET tables = restored.tables + 1, bytes = restored.bytes + excluded.bytes";
pub(super) const RESTORED: &str = "SELECT tables, bytes FROM restored WHERE group_name = $1 AND store_name = $2";

/// In order of writing: there is one writer.
pub(super) const PUT: &str = "INSERT INTO outbox (listener, event_id, sequence, written_at, epoch, body) \
     VALUES ($1, $2, (SELECT COALESCE(MAX(sequence), 0) + 1 FROM outbox WHERE listener = $1), $3, $4, $5) \
     ON CONFLICT (listener, event_id) DO NOTHING";
pub(super) const WAITING: &str = "SELECT event_id, written_at FROM outbox WHERE listener = $1 ORDER BY sequence";
pub(super) const MESSAGE: &str = "SELECT body FROM outbox WHERE listener = $1 AND event_id = $2";
pub(super) const TOLD: &str = "DELETE FROM outbox WHERE listener = $1 AND event_id = $2";
pub(super) const GIVE_UP_OLD: &str = "DELETE FROM outbox WHERE listener = $1 AND written_at < $2";
pub(super) const GIVE_UP_MANY: &str = "DELETE FROM outbox WHERE listener = $1 AND sequence <= \
     (SELECT sequence FROM outbox WHERE listener = $1 ORDER BY sequence DESC LIMIT 1 OFFSET $2)";
pub(super) const ADDRESSED: &str = "SELECT DISTINCT listener FROM outbox";
pub(super) const FORGET: &str = "DELETE FROM outbox WHERE listener = $1";

pub(super) const STALE: &str = concat!(
    "SELECT started, window_id FROM windows WHERE (started, window_id) > ($2, $3) AND ",
    prunable!(),
    " ORDER BY started, window_id LIMIT $4"
);
pub(super) const STALE_OF: &str = concat!("SELECT window_id FROM windows WHERE ", prunable!(), " AND window_id IN ");
pub(super) const FAILED_COPIES_OF: &str =
    "SELECT window_id, store_name, source, step, body FROM copies WHERE step = 'failed' AND window_id IN ";
pub(super) const COPIES_OF: &str = "SELECT window_id, COUNT(*) FROM copies WHERE window_id IN ";
pub(super) const BY_WINDOW: &str = " GROUP BY window_id";
pub(super) const PRUNE_COPIES: &str = "DELETE FROM copies WHERE window_id = $1 AND (store_name, source) IN \
     (SELECT store_name, source FROM copies WHERE window_id = $1 ORDER BY store_name, source LIMIT $2)";
/// What refers to others before those.
pub(super) const PRUNE_WINDOWS: [&str; 5] = [
    "DELETE FROM copies WHERE window_id IN ",
    "DELETE FROM tracks WHERE window_id IN ",
    "DELETE FROM captures WHERE window_id IN ",
    "DELETE FROM events WHERE window_id IN ",
    "DELETE FROM windows WHERE window_id IN ",
];
/// Never a group's last slot: from it on the daemon looks for those that were missed.
pub(super) const PRUNE_SLOTS: &str = "DELETE FROM slots WHERE (group_name, slot) IN \
     (SELECT group_name, slot FROM slots WHERE slot < $1 AND state IN ('done', 'missed', 'skipped') AND EXISTS \
     (SELECT 1 FROM slots AS later WHERE later.group_name = slots.group_name AND later.slot > slots.slot) \
     ORDER BY slot LIMIT $2)";

pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";
pub(super) const APPLIED: &str = "SELECT MAX(version) FROM _sqlx_migrations";
pub(super) const CHECKPOINT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
pub(super) const INTEGRITY: &str = "PRAGMA integrity_check(20)";
pub(super) const FOREIGN_KEYS: &str = "PRAGMA foreign_key_check";

/// Places for `count` values in brackets, from the `first` on: `($3, $4)`. Many rows go in one statement, since each
/// takes its way to a server and back.
pub(super) fn places(first: usize, count: usize) -> String {
    let numbers: Vec<String> = (first..first + count).map(|number| format!("${number}")).collect();
    format!("({})", numbers.join(", "))
}

/// The same for rows of `columns` values each: `($1, $2), ($3, $4)`.
pub(super) fn rows(rows: usize, columns: usize) -> String {
    (0..rows).map(|row| places(row * columns + 1, columns)).collect::<Vec<_>>().join(", ")
}
