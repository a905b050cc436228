-- A slot that a blackout or `suspend` leaves out is decided too.
CREATE TABLE slots_with_skipped (
    group_name TEXT   NOT NULL,
    slot       BIGINT NOT NULL,
    state      TEXT   NOT NULL CHECK (state IN ('planned', 'running', 'done', 'missed', 'skipped')),
    attempts   BIGINT NOT NULL,
    epoch      BIGINT NOT NULL,
    PRIMARY KEY (group_name, slot)
);
INSERT INTO slots_with_skipped (group_name, slot, state, attempts, epoch)
    SELECT group_name, slot, state, attempts, epoch FROM slots;
DROP TABLE slots;
ALTER TABLE slots_with_skipped RENAME TO slots;
CREATE INDEX slots_unfinished ON slots (group_name, slot) WHERE state IN ('planned', 'running');

-- What is over is pruned from the oldest slot on, over all groups.
CREATE INDEX slots_over ON slots (slot) WHERE state IN ('done', 'missed', 'skipped');

-- How long members were closed, by the quarter of an hour (since 1970) in which the window began: every time zone's
-- months begin at one. Counted in the transaction that ends a window, so that it outlives the window's own row.
CREATE TABLE closed (
    group_name   TEXT   NOT NULL,
    quarter      BIGINT NOT NULL,
    microseconds BIGINT NOT NULL,
    PRIMARY KEY (group_name, quarter)
);
INSERT INTO closed (group_name, quarter, microseconds)
    SELECT group_name, started / 900000000, SUM(closed_microseconds) FROM windows
    WHERE verdict IS NOT NULL AND closed_microseconds IS NOT NULL GROUP BY group_name, started / 900000000;
