-- Reads `seed_tenant (id, tag, scale)` and `seq (i)`, two temporary tables that the store makes.
INSERT INTO alert_rules SELECT tag || '-rule-' || i, id, CASE i % 3 WHEN 0 THEN 'stock' WHEN 1 THEN 'temperature' ELSE 'sales' END, 5.0 * (1 + i)
    FROM seed_tenant, seq WHERE i < 3 * scale;
INSERT INTO alerts SELECT tag || '-alert-' || i, id, tag || '-rule-' || (i % (3 * scale)),
    CASE i % 3 WHEN 0 THEN 'low' WHEN 1 THEN 'medium' ELSE 'high' END, datetime('2026-01-01', i || ' hours')
    FROM seed_tenant, seq WHERE i < 20 * scale;
INSERT INTO acknowledgements SELECT tag || '-acknowledgement-' || i, id, tag || '-alert-' || i, tag || '-user-' || (i % 3),
    datetime('2026-01-01', i || ' hours', '20 minutes')
    FROM seed_tenant, seq WHERE i < 15 * scale;
INSERT INTO escalations SELECT tag || '-escalation-' || i, id, tag || '-alert-' || (3 * i), CASE i % 2 WHEN 0 THEN 'email' ELSE 'whatsapp' END,
    datetime('2026-01-01', i || ' hours', '1 hours')
    FROM seed_tenant, seq WHERE i < 5 * scale;
