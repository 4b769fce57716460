-- Reads `seed_tenant (id, tag, scale)` and `seq (i)`, two temporary tables that the store makes.
INSERT INTO models SELECT tag || '-model-' || i, id, 'Product ' || (i / 2), 'prophet', i % 2
    FROM seed_tenant, seq WHERE i < 8 * scale;
INSERT INTO training_jobs SELECT tag || '-job-' || i, id, tag || '-model-' || i, datetime('2026-01-01', i || ' hours'), 41.5 + i
    FROM seed_tenant, seq WHERE i < 8 * scale;
INSERT INTO training_metrics SELECT tag || '-metric-' || i, id, tag || '-job-' || (i / 3),
    CASE i % 3 WHEN 0 THEN 'mape' WHEN 1 THEN 'rmse' ELSE 'r2' END, 0.1 + (i % 10) / 20.0
    FROM seed_tenant, seq WHERE i < 24 * scale;
INSERT INTO model_artifacts SELECT tag || '-artifact-' || i, id, tag || '-model-' || i, 'model-' || i || '.bin', zeroblob(256)
    FROM seed_tenant, seq WHERE i < 8 * scale;
