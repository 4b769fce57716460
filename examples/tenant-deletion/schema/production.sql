-- The day's plan, the batches baked and how they turned out.
CREATE TABLE equipment (
    id           TEXT PRIMARY KEY,
    tenant_id    TEXT NOT NULL,
    name         TEXT NOT NULL,
    kind         TEXT NOT NULL CHECK (kind IN ('oven', 'mixer', 'proofer'))
) STRICT;
CREATE TABLE schedules (
    id           TEXT PRIMARY KEY,
    tenant_id    TEXT NOT NULL,
    day          TEXT NOT NULL,
    shift        TEXT NOT NULL CHECK (shift IN ('night', 'morning'))
) STRICT;
CREATE TABLE batches (
    id           TEXT PRIMARY KEY,
    tenant_id    TEXT NOT NULL,
    schedule_id  TEXT NOT NULL REFERENCES schedules (id),
    equipment_id TEXT NOT NULL REFERENCES equipment (id),
    product      TEXT NOT NULL,
    planned      INTEGER NOT NULL,
    baked        INTEGER
) STRICT;
CREATE TABLE quality_checks (
    id           TEXT PRIMARY KEY,
    tenant_id    TEXT NOT NULL,
    batch_id     TEXT NOT NULL REFERENCES batches (id),
    aspect       TEXT NOT NULL,
    score        INTEGER NOT NULL CHECK (score BETWEEN 1 AND 10)
) STRICT;
CREATE INDEX batches_of_schedule ON batches (schedule_id);
CREATE INDEX batches_of_equipment ON batches (equipment_id);
CREATE INDEX quality_checks_of_batch ON quality_checks (batch_id);
