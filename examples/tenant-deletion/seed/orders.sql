-- Reads `seed_tenant (id, tag, scale)` and `seq (i)`, two temporary tables that the store makes.
INSERT INTO customers SELECT tag || '-customer-' || i, id, 'Customer ' || i,
    CASE i % 3 WHEN 0 THEN 'retail' WHEN 1 THEN 'restaurant' ELSE 'hotel' END, 'Madrid'
    FROM seed_tenant, seq WHERE i < 6 * scale;
INSERT INTO customer_contacts SELECT tag || '-contact-' || i, id, tag || '-customer-' || i,
    'customer' || i || '@example.com', '+34 600 000 ' || printf('%03d', i)
    FROM seed_tenant, seq WHERE i < 6 * scale;
INSERT INTO orders SELECT tag || '-order-' || i, id, tag || '-customer-' || (i % (6 * scale)),
    date('2026-01-01', i || ' days'),
    CASE i % 4 WHEN 0 THEN 'confirmed' WHEN 1 THEN 'baking' WHEN 2 THEN 'delivered' ELSE 'cancelled' END, 900 + 35 * i
    FROM seed_tenant, seq WHERE i < 25 * scale;
INSERT INTO order_items SELECT tag || '-order-item-' || i, id, tag || '-order-' || (i / 3),
    CASE i % 3 WHEN 0 THEN 'baguette' WHEN 1 THEN 'croissant' ELSE 'ensaimada' END, 1 + i % 12, 120 + 10 * (i % 9)
    FROM seed_tenant, seq WHERE i < 75 * scale;
INSERT INTO order_status_history SELECT tag || '-order-status-' || i, id, tag || '-order-' || (i / 2),
    CASE i % 2 WHEN 0 THEN 'confirmed' ELSE 'baking' END, datetime('2026-01-01', i || ' hours')
    FROM seed_tenant, seq WHERE i < 50 * scale;
