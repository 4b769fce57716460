-- Messages to people. `channels` belongs to the platform and outlives every tenant.
CREATE TABLE channels (
    code            TEXT PRIMARY KEY
) STRICT;
INSERT INTO channels VALUES ('email'), ('whatsapp'), ('push');
CREATE TABLE templates (
    id              TEXT PRIMARY KEY,
    tenant_id       TEXT NOT NULL,
    channel         TEXT NOT NULL REFERENCES channels (code),
    subject         TEXT NOT NULL
) STRICT;
CREATE TABLE preferences (
    id              TEXT PRIMARY KEY,
    tenant_id       TEXT NOT NULL,
    user_id         TEXT NOT NULL,
    channel         TEXT NOT NULL REFERENCES channels (code),
    enabled         INTEGER NOT NULL CHECK (enabled IN (0, 1))
) STRICT;
CREATE TABLE notifications (
    id              TEXT PRIMARY KEY,
    tenant_id       TEXT NOT NULL,
    template_id     TEXT NOT NULL REFERENCES templates (id),
    recipient       TEXT NOT NULL,
    created_at      TEXT NOT NULL
) STRICT;
CREATE TABLE delivery_attempts (
    id              TEXT PRIMARY KEY,
    tenant_id       TEXT NOT NULL,
    notification_id TEXT NOT NULL REFERENCES notifications (id),
    outcome         TEXT NOT NULL CHECK (outcome IN ('sent', 'bounced', 'deferred')),
    at              TEXT NOT NULL
) STRICT;
CREATE INDEX notifications_of_template ON notifications (template_id);
CREATE INDEX delivery_attempts_of_notification ON delivery_attempts (notification_id);
