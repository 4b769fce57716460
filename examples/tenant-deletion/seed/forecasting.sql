-- Reads `seed_tenant (id, tag, scale)` and `seq (i)`, two temporary tables that the store makes.
INSERT INTO forecast_runs SELECT tag || '-run-' || i, id, 'prophet-' || (i % 3), datetime('2026-01-01', i || ' days')
    FROM seed_tenant, seq WHERE i < 7 * scale;
INSERT INTO forecasts SELECT tag || '-forecast-' || i, id, tag || '-run-' || (i / 9), 'Product ' || (i % 9), date('2026-01-02', (i / 9) || ' days'),
    40.0 + i % 30, 32.0 + i % 30, 51.0 + i % 30
    FROM seed_tenant, seq WHERE i < 63 * scale;
INSERT INTO forecast_accuracy SELECT tag || '-accuracy-' || i, id, tag || '-forecast-' || i, 41.0 + i % 28, (i % 17) * 0.6
    FROM seed_tenant, seq WHERE i < 54 * scale;
INSERT INTO prediction_cache SELECT tag || '-cached-' || i, id, 'Product ' || i, datetime('2026-01-02', i || ' hours'), json_object('expected', 40 + i)
    FROM seed_tenant, seq WHERE i < 9 * scale;
