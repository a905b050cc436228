-- For SQLite and PostgreSQL. Times are microseconds since 1970-01-01 UTC (BIGINT); journal bodies are JSON. Names are
-- compared byte by byte: "binary" is SQLite's name for that, and stands for C in PostgreSQL (see link.rs).

-- Whose the catalog is: each opening takes the next epoch, under a name of its own. The identity tells this catalog from
-- every other, wherever it lies: it is the name that Leases are held in.
CREATE TABLE leader (
    id       BIGINT PRIMARY KEY CHECK (id = 1),
    epoch    BIGINT NOT NULL,
    holder   TEXT,
    identity TEXT
);
INSERT INTO leader (id, epoch) VALUES (1, 0);

CREATE TABLE windows (
    window_id           TEXT COLLATE "binary" PRIMARY KEY,
    group_name          TEXT COLLATE "binary" NOT NULL,
    trigger_kind        TEXT NOT NULL,
    slot                BIGINT,
    started             BIGINT NOT NULL,
    phase               TEXT NOT NULL,
    verdict             TEXT COLLATE "binary",
    reasons             TEXT NOT NULL,
    evidence            TEXT,
    pause_completed     BIGINT,
    unpause_started     BIGINT,
    restore_point       BIGINT,
    closed_microseconds BIGINT,
    members             BIGINT NOT NULL
);
CREATE INDEX windows_newest ON windows (started DESC, window_id DESC);
CREATE INDEX windows_newest_of_group ON windows (group_name, started DESC, window_id DESC);
CREATE INDEX windows_open ON windows (started) WHERE verdict IS NULL;
CREATE INDEX points_newest ON windows (restore_point DESC) WHERE restore_point IS NOT NULL;
CREATE INDEX points_newest_of_group ON windows (group_name, restore_point DESC) WHERE restore_point IS NOT NULL;
CREATE INDEX windows_of_slot ON windows (group_name, slot) WHERE slot IS NOT NULL;

CREATE TABLE events (
    window_id  TEXT COLLATE "binary" NOT NULL REFERENCES windows (window_id),
    number     BIGINT NOT NULL CHECK (number >= 0),
    epoch      BIGINT NOT NULL,
    written_at BIGINT NOT NULL,
    kind       TEXT   NOT NULL,
    body       TEXT   NOT NULL,
    PRIMARY KEY (window_id, number)
);

CREATE TABLE slots (
    group_name TEXT COLLATE "binary" NOT NULL,
    slot       BIGINT NOT NULL,
    state      TEXT   NOT NULL CHECK (state IN ('planned', 'running', 'done', 'missed', 'skipped')),
    attempts   BIGINT NOT NULL,
    epoch      BIGINT NOT NULL,
    PRIMARY KEY (group_name, slot)
);
CREATE INDEX slots_unfinished ON slots (group_name, slot) WHERE state IN ('planned', 'running');
-- What is over is pruned from the oldest slot on, over all groups.
CREATE INDEX slots_over ON slots (slot) WHERE state IN ('done', 'missed', 'skipped');

CREATE TABLE groups_seen (
    group_name TEXT COLLATE "binary" PRIMARY KEY,
    first_seen BIGINT NOT NULL
);

-- Counted in the transaction that ends a window, so that a scrape never counts all windows.
CREATE TABLE totals (
    group_name  TEXT COLLATE "binary" NOT NULL,
    verdict     TEXT COLLATE "binary" NOT NULL,
    reason_code TEXT COLLATE "binary" NOT NULL,
    windows     BIGINT NOT NULL,
    PRIMARY KEY (group_name, verdict, reason_code)
);

-- How long members were closed, by the quarter of an hour (since 1970) in which the window began: every time zone's
-- months begin at one. Counted in the transaction that ends a window, so that it outlives the window's own row.
CREATE TABLE closed (
    group_name   TEXT COLLATE "binary" NOT NULL,
    quarter      BIGINT NOT NULL,
    microseconds BIGINT NOT NULL,
    PRIMARY KEY (group_name, quarter)
);
