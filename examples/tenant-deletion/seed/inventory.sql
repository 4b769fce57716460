-- Reads `seed_tenant (id, tag, scale)` and `seq (i)`, two temporary tables that the store makes.
INSERT INTO ingredients SELECT tag || '-ingredient-' || i, id, 'Ingredient ' || i,
    CASE i % 3 WHEN 0 THEN 'kg' WHEN 1 THEN 'l' ELSE 'pc' END, 5.0 + i
    FROM seed_tenant, seq WHERE i < 8 * scale;
INSERT INTO stock_lots SELECT tag || '-lot-' || i, id, tag || '-ingredient-' || (i / 3), 10.5 + i, date('2026-02-01', i || ' days')
    FROM seed_tenant, seq WHERE i < 24 * scale;
INSERT INTO stock_movements SELECT tag || '-movement-' || i, id, tag || '-lot-' || (i / 3),
    CASE i % 3 WHEN 0 THEN 'received' WHEN 1 THEN 'used' ELSE 'wasted' END, 0.5 + i % 7, datetime('2026-01-01', i || ' hours')
    FROM seed_tenant, seq WHERE i < 72 * scale;
INSERT INTO temperature_logs SELECT tag || '-temperature-' || i, id, 'cold room ' || (i % 2), 3.0 + (i % 5) / 10.0,
    datetime('2026-01-01', i || ' hours')
    FROM seed_tenant, seq WHERE i < 40 * scale;
