-- The tills: which ones are connected, what they rang up, what they pushed to us.
CREATE TABLE terminals (
    id             TEXT PRIMARY KEY,
    tenant_id      TEXT NOT NULL,
    provider       TEXT NOT NULL CHECK (provider IN ('square', 'toast', 'lightspeed')),
    label          TEXT NOT NULL
) STRICT;
CREATE TABLE transactions (
    id             TEXT PRIMARY KEY,
    tenant_id      TEXT NOT NULL,
    terminal_id    TEXT NOT NULL REFERENCES terminals (id),
    rung_up_at     TEXT NOT NULL,
    method         TEXT NOT NULL CHECK (method IN ('card', 'cash')),
    total_cents    INTEGER NOT NULL
) STRICT;
CREATE TABLE transaction_items (
    id             TEXT PRIMARY KEY,
    tenant_id      TEXT NOT NULL,
    transaction_id TEXT NOT NULL REFERENCES transactions (id),
    product        TEXT NOT NULL,
    quantity       INTEGER NOT NULL
) STRICT;
CREATE TABLE webhook_events (
    id             TEXT PRIMARY KEY,
    tenant_id      TEXT NOT NULL,
    terminal_id    TEXT NOT NULL REFERENCES terminals (id),
    kind           TEXT NOT NULL,
    received_at    TEXT NOT NULL,
    payload        TEXT NOT NULL
) STRICT;
CREATE INDEX transactions_of_terminal ON transactions (terminal_id, rung_up_at);
CREATE INDEX transaction_items_of_transaction ON transaction_items (transaction_id);
CREATE INDEX webhook_events_of_terminal ON webhook_events (terminal_id);
