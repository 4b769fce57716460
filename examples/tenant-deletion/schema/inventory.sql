-- What is in the store room. `units` belongs to no tenant and outlives all of them.
CREATE TABLE units (
    code        TEXT PRIMARY KEY,
    name        TEXT NOT NULL
) STRICT;
INSERT INTO units VALUES ('kg', 'kilogram'), ('l', 'litre'), ('pc', 'piece');
CREATE TABLE ingredients (
    id            TEXT PRIMARY KEY,
    tenant_id     TEXT NOT NULL,
    name          TEXT NOT NULL,
    unit          TEXT NOT NULL REFERENCES units (code),
    reorder_level REAL NOT NULL
) STRICT;
CREATE TABLE stock_lots (
    id            TEXT PRIMARY KEY,
    tenant_id     TEXT NOT NULL,
    ingredient_id TEXT NOT NULL REFERENCES ingredients (id),
    quantity      REAL NOT NULL,
    expires_on    TEXT NOT NULL
) STRICT;
CREATE TABLE stock_movements (
    id            TEXT PRIMARY KEY,
    tenant_id     TEXT NOT NULL,
    lot_id        TEXT NOT NULL REFERENCES stock_lots (id),
    kind          TEXT NOT NULL CHECK (kind IN ('received', 'used', 'wasted')),
    quantity      REAL NOT NULL,
    moved_at      TEXT NOT NULL
) STRICT;
CREATE TABLE temperature_logs (
    id            TEXT PRIMARY KEY,
    tenant_id     TEXT NOT NULL,
    location      TEXT NOT NULL,
    celsius       REAL NOT NULL,
    measured_at   TEXT NOT NULL
) STRICT;
CREATE INDEX stock_lots_of_ingredient ON stock_lots (ingredient_id);
CREATE INDEX stock_movements_of_lot ON stock_movements (lot_id);
