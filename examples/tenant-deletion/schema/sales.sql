-- What was sold, and the files that it was imported from.
CREATE TABLE products (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    name        TEXT NOT NULL,
    category    TEXT NOT NULL CHECK (category IN ('bread', 'pastry', 'cake'))
) STRICT;
CREATE TABLE import_jobs (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    file_name   TEXT NOT NULL,
    rows_read   INTEGER NOT NULL,
    finished_at TEXT NOT NULL
) STRICT;
CREATE TABLE import_errors (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    job_id      TEXT NOT NULL REFERENCES import_jobs (id),
    row_number  INTEGER NOT NULL,
    message     TEXT NOT NULL
) STRICT;
CREATE TABLE daily_sales (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    product_id  TEXT NOT NULL REFERENCES products (id),
    job_id      TEXT REFERENCES import_jobs (id),
    sold_on     TEXT NOT NULL,
    quantity    INTEGER NOT NULL,
    revenue_cents INTEGER NOT NULL
) STRICT;
CREATE INDEX daily_sales_of_product ON daily_sales (product_id, sold_on);
CREATE INDEX daily_sales_of_job ON daily_sales (job_id);
CREATE INDEX import_errors_of_job ON import_errors (job_id);
