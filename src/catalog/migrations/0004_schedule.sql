-- The schedule that a group's slots were last planned by. What another one has between two slots, nobody planned.
CREATE TABLE plans (
    group_name TEXT PRIMARY KEY,
    schedule   TEXT NOT NULL
);
