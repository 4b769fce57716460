-- Reads `seed_tenant (id, tag, scale)` and `seq (i)`, two temporary tables that the store makes.
INSERT INTO suppliers SELECT tag || '-supplier-' || i, id, 'Supplier ' || i, 'ES-B' || printf('%08d', 4711 + i), 1 + i % 4
    FROM seed_tenant, seq WHERE i < 4 * scale;
INSERT INTO price_list_entries SELECT tag || '-price-' || i, id, tag || '-supplier-' || (i / 5), 'Ingredient ' || i, 85 + 3 * i
    FROM seed_tenant, seq WHERE i < 20 * scale;
INSERT INTO purchase_orders SELECT tag || '-purchase-' || i, id, tag || '-supplier-' || (i % (4 * scale)), date('2026-01-01', i || ' days'),
    CASE i % 3 WHEN 0 THEN 'draft' WHEN 1 THEN 'sent' ELSE 'received' END
    FROM seed_tenant, seq WHERE i < 12 * scale;
INSERT INTO purchase_order_items SELECT tag || '-purchase-item-' || i, id, tag || '-purchase-' || (i / 3), 'Ingredient ' || i, 25.0 * (1 + i % 4)
    FROM seed_tenant, seq WHERE i < 36 * scale;
INSERT INTO deliveries SELECT tag || '-delivery-' || i, id, tag || '-purchase-' || i, datetime('2026-01-03', i || ' days'), i % 7 <> 0
    FROM seed_tenant, seq WHERE i < 10 * scale;
