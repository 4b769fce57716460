-- Reads `seed_tenant (id, tag, scale)` and `seq (i)`, two temporary tables that the store makes.
INSERT INTO equipment SELECT tag || '-equipment-' || i, id, 'Machine ' || i,
    CASE i % 3 WHEN 0 THEN 'oven' WHEN 1 THEN 'mixer' ELSE 'proofer' END
    FROM seed_tenant, seq WHERE i < 3 * scale;
INSERT INTO schedules SELECT tag || '-schedule-' || i, id, date('2026-01-01', (i / 2) || ' days'),
    CASE i % 2 WHEN 0 THEN 'night' ELSE 'morning' END
    FROM seed_tenant, seq WHERE i < 14 * scale;
INSERT INTO batches SELECT tag || '-batch-' || i, id, tag || '-schedule-' || (i / 3), tag || '-equipment-' || (i % (3 * scale)),
    CASE i % 3 WHEN 0 THEN 'baguette' WHEN 1 THEN 'croissant' ELSE 'ensaimada' END, 60 + i, CASE WHEN i % 9 = 0 THEN NULL ELSE 58 + i END
    FROM seed_tenant, seq WHERE i < 42 * scale;
INSERT INTO quality_checks SELECT tag || '-check-' || i, id, tag || '-batch-' || i,
    CASE i % 2 WHEN 0 THEN 'crust' ELSE 'crumb' END, 6 + i % 5
    FROM seed_tenant, seq WHERE i < 40 * scale;
