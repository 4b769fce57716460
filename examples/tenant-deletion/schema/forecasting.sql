-- How much will be sold, and how good the guess was.
CREATE TABLE forecast_runs (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    model       TEXT NOT NULL,
    started_at  TEXT NOT NULL
) STRICT;
CREATE TABLE forecasts (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    run_id      TEXT NOT NULL REFERENCES forecast_runs (id),
    product     TEXT NOT NULL,
    day         TEXT NOT NULL,
    expected    REAL NOT NULL,
    low         REAL NOT NULL,
    high        REAL NOT NULL
) STRICT;
CREATE TABLE forecast_accuracy (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    forecast_id TEXT NOT NULL REFERENCES forecasts (id),
    actual      REAL NOT NULL,
    error_pct   REAL NOT NULL
) STRICT;
CREATE TABLE prediction_cache (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    product     TEXT NOT NULL,
    expires_at  TEXT NOT NULL,
    answer      TEXT NOT NULL
) STRICT;
CREATE INDEX forecasts_of_run ON forecasts (run_id);
CREATE INDEX forecast_accuracy_of_forecast ON forecast_accuracy (forecast_id);
