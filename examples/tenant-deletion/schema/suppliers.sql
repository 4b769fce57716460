-- Whom a bakery buys from, at which price, and what arrived.
CREATE TABLE suppliers (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    name        TEXT NOT NULL,
    tax_id      TEXT NOT NULL,
    lead_days   INTEGER NOT NULL
) STRICT;
CREATE TABLE price_list_entries (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    supplier_id TEXT NOT NULL REFERENCES suppliers (id),
    ingredient  TEXT NOT NULL,
    cents_per_kg INTEGER NOT NULL
) STRICT;
CREATE TABLE purchase_orders (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    supplier_id TEXT NOT NULL REFERENCES suppliers (id),
    ordered_on  TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('draft', 'sent', 'received'))
) STRICT;
CREATE TABLE purchase_order_items (
    id                TEXT PRIMARY KEY,
    tenant_id         TEXT NOT NULL,
    purchase_order_id TEXT NOT NULL REFERENCES purchase_orders (id),
    ingredient        TEXT NOT NULL,
    kilograms         REAL NOT NULL
) STRICT;
CREATE TABLE deliveries (
    id                TEXT PRIMARY KEY,
    tenant_id         TEXT NOT NULL,
    purchase_order_id TEXT NOT NULL REFERENCES purchase_orders (id),
    arrived_at        TEXT NOT NULL,
    complete          INTEGER NOT NULL CHECK (complete IN (0, 1))
) STRICT;
CREATE INDEX price_list_entries_of_supplier ON price_list_entries (supplier_id);
CREATE INDEX purchase_orders_of_supplier ON purchase_orders (supplier_id);
CREATE INDEX purchase_order_items_of_order ON purchase_order_items (purchase_order_id);
CREATE INDEX deliveries_of_order ON deliveries (purchase_order_id);
