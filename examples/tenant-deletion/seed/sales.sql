-- Reads `seed_tenant (id, tag, scale)` and `seq (i)`, two temporary tables that the store makes.
INSERT INTO products SELECT tag || '-product-' || i, id, 'Product ' || i,
    CASE i % 3 WHEN 0 THEN 'bread' WHEN 1 THEN 'pastry' ELSE 'cake' END
    FROM seed_tenant, seq WHERE i < 6 * scale;
INSERT INTO import_jobs SELECT tag || '-import-' || i, id, 'sales-' || i || '.csv', 300 + i, datetime('2026-01-05', i || ' days')
    FROM seed_tenant, seq WHERE i < 4 * scale;
INSERT INTO import_errors SELECT tag || '-import-error-' || i, id, tag || '-import-' || (i / 2), 17 + i, 'quantity is not a number'
    FROM seed_tenant, seq WHERE i < 8 * scale;
INSERT INTO daily_sales SELECT tag || '-sale-' || i, id, tag || '-product-' || (i % (6 * scale)),
    CASE WHEN i % 5 = 0 THEN NULL ELSE tag || '-import-' || (i % (4 * scale)) END,
    date('2026-01-01', (i / 6) || ' days'), 5 + i % 40, 600 + 45 * (i % 40)
    FROM seed_tenant, seq WHERE i < 120 * scale;
