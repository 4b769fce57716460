-- Reads `seed_tenant (id, tag, scale)` and `seq (i)`, two temporary tables that the store makes.
INSERT INTO templates SELECT tag || '-template-' || i, id, CASE i % 3 WHEN 0 THEN 'email' WHEN 1 THEN 'whatsapp' ELSE 'push' END, 'Subject ' || i
    FROM seed_tenant, seq WHERE i < 4 * scale;
INSERT INTO preferences SELECT tag || '-preference-' || i, id, tag || '-user-' || (i / 3),
    CASE i % 3 WHEN 0 THEN 'email' WHEN 1 THEN 'whatsapp' ELSE 'push' END, i % 2
    FROM seed_tenant, seq WHERE i < 9 * scale;
INSERT INTO notifications SELECT tag || '-notification-' || i, id, tag || '-template-' || (i % (4 * scale)), 'user' || (i % 3) || '@example.com',
    datetime('2026-01-01', i || ' hours')
    FROM seed_tenant, seq WHERE i < 45 * scale;
INSERT INTO delivery_attempts SELECT tag || '-attempt-' || i, id, tag || '-notification-' || i,
    CASE i % 9 WHEN 0 THEN 'bounced' WHEN 1 THEN 'deferred' ELSE 'sent' END, datetime('2026-01-01', i || ' hours', '1 minutes')
    FROM seed_tenant, seq WHERE i < 45 * scale;
