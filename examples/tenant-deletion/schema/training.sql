-- The models of each bakery and how they were trained.
CREATE TABLE models (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL,
    product    TEXT NOT NULL,
    kind       TEXT NOT NULL,
    active     INTEGER NOT NULL CHECK (active IN (0, 1))
) STRICT;
CREATE TABLE training_jobs (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL,
    model_id   TEXT NOT NULL REFERENCES models (id),
    started_at TEXT NOT NULL,
    seconds    REAL NOT NULL
) STRICT;
CREATE TABLE training_metrics (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL,
    job_id     TEXT NOT NULL REFERENCES training_jobs (id),
    metric     TEXT NOT NULL CHECK (metric IN ('mape', 'rmse', 'r2')),
    value      REAL NOT NULL
) STRICT;
CREATE TABLE model_artifacts (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL,
    model_id   TEXT NOT NULL REFERENCES models (id),
    file_name  TEXT NOT NULL,
    content    BLOB NOT NULL
) STRICT;
CREATE INDEX training_jobs_of_model ON training_jobs (model_id);
CREATE INDEX training_metrics_of_job ON training_metrics (job_id);
CREATE INDEX model_artifacts_of_model ON model_artifacts (model_id);
