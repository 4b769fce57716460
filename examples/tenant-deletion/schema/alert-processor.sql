-- What needs somebody's attention, and what they did about it.
CREATE TABLE alert_rules (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    topic       TEXT NOT NULL,
    threshold   REAL NOT NULL
) STRICT;
CREATE TABLE alerts (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    rule_id     TEXT NOT NULL REFERENCES alert_rules (id),
    severity    TEXT NOT NULL CHECK (severity IN ('low', 'medium', 'high')),
    raised_at   TEXT NOT NULL
) STRICT;
CREATE TABLE acknowledgements (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    alert_id    TEXT NOT NULL REFERENCES alerts (id),
    user_id     TEXT NOT NULL,
    at          TEXT NOT NULL
) STRICT;
CREATE TABLE escalations (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    alert_id    TEXT NOT NULL REFERENCES alerts (id),
    channel     TEXT NOT NULL,
    at          TEXT NOT NULL
) STRICT;
CREATE INDEX alerts_of_rule ON alerts (rule_id);
CREATE INDEX acknowledgements_of_alert ON acknowledgements (alert_id);
CREATE INDEX escalations_of_alert ON escalations (alert_id);
