-- What is still to be told, a row an event and a listener: written in the transaction that it tells of, deleted when it
-- was taken. The body, which is long, comes last.
CREATE TABLE outbox (
    listener   TEXT COLLATE "binary" NOT NULL,
    event_id   TEXT COLLATE "binary" NOT NULL,
    sequence   BIGINT NOT NULL,
    written_at BIGINT NOT NULL,
    epoch      BIGINT NOT NULL,
    body       TEXT   NOT NULL,
    PRIMARY KEY (listener, event_id)
);
CREATE INDEX outbox_in_order ON outbox (listener, sequence);
