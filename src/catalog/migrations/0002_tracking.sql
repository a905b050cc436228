-- What each store was like at a window. Written before the window's first event, hence no reference; the body, which
-- is long, comes last: what is before it is read without it.
CREATE TABLE captures (
    window_id  TEXT COLLATE "binary" NOT NULL,
    store_name TEXT COLLATE "binary" NOT NULL,
    epoch      BIGINT NOT NULL,
    written_at BIGINT NOT NULL,
    body       TEXT   NOT NULL,
    PRIMARY KEY (window_id, store_name)
);

CREATE TABLE tracks (
    window_id     TEXT COLLATE "binary" NOT NULL REFERENCES windows (window_id),
    store_name    TEXT COLLATE "binary" NOT NULL,
    group_name    TEXT COLLATE "binary" NOT NULL,
    restore_point BIGINT NOT NULL,
    state         TEXT COLLATE "binary" NOT NULL,
    changed_at    BIGINT NOT NULL,
    epoch         BIGINT NOT NULL,
    body          TEXT   NOT NULL,
    PRIMARY KEY (window_id, store_name)
);
CREATE INDEX tracks_live ON tracks (group_name, store_name, restore_point) WHERE state NOT IN ('lost', 'expired');

CREATE TABLE copies (
    window_id  TEXT COLLATE "binary" NOT NULL,
    store_name TEXT COLLATE "binary" NOT NULL,
    source     TEXT COLLATE "binary" NOT NULL,
    group_name TEXT COLLATE "binary" NOT NULL,
    step       TEXT COLLATE "binary" NOT NULL,
    name       TEXT COLLATE "binary" NOT NULL UNIQUE,
    backup_arn TEXT,
    bytes      BIGINT,
    changed_at BIGINT NOT NULL,
    epoch      BIGINT NOT NULL,
    body       TEXT   NOT NULL,
    PRIMARY KEY (window_id, store_name, source),
    FOREIGN KEY (window_id, store_name) REFERENCES tracks (window_id, store_name)
);
CREATE INDEX copies_by_step ON copies (window_id, store_name, step);
CREATE INDEX copies_kept ON copies (group_name, store_name, bytes) WHERE step IN ('done', 'expiring');

-- What is paid for: counted in the transaction that ends a copy well, so that a scrape never counts all copies.
CREATE TABLE restored (
    group_name TEXT COLLATE "binary" NOT NULL,
    store_name TEXT COLLATE "binary" NOT NULL,
    tables     BIGINT NOT NULL,
    bytes      BIGINT NOT NULL,
    PRIMARY KEY (group_name, store_name)
);
