-- Customers of a bakery and what they order.
CREATE TABLE customers (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    name        TEXT NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('retail', 'restaurant', 'hotel')),
    city        TEXT NOT NULL
) STRICT;
CREATE TABLE customer_contacts (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    customer_id TEXT NOT NULL REFERENCES customers (id),
    email       TEXT NOT NULL,
    phone       TEXT
) STRICT;
CREATE TABLE orders (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    customer_id TEXT NOT NULL REFERENCES customers (id),
    placed_on   TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('confirmed', 'baking', 'delivered', 'cancelled')),
    total_cents INTEGER NOT NULL CHECK (total_cents >= 0)
) STRICT;
CREATE TABLE order_items (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    order_id    TEXT NOT NULL REFERENCES orders (id),
    product     TEXT NOT NULL,
    quantity    INTEGER NOT NULL CHECK (quantity > 0),
    unit_cents  INTEGER NOT NULL
) STRICT;
CREATE TABLE order_status_history (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    order_id    TEXT NOT NULL REFERENCES orders (id),
    status      TEXT NOT NULL,
    changed_at  TEXT NOT NULL
) STRICT;
CREATE INDEX orders_of_tenant ON orders (tenant_id, placed_on);
CREATE INDEX order_items_of_order ON order_items (order_id);
CREATE INDEX order_status_history_of_order ON order_status_history (order_id);
