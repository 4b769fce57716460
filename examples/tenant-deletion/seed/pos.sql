-- Reads `seed_tenant (id, tag, scale)` and `seq (i)`, two temporary tables that the store makes.
INSERT INTO terminals SELECT tag || '-terminal-' || i, id,
    CASE i % 3 WHEN 0 THEN 'square' WHEN 1 THEN 'toast' ELSE 'lightspeed' END, 'Till ' || (1 + i)
    FROM seed_tenant, seq WHERE i < scale;
INSERT INTO transactions SELECT tag || '-transaction-' || i, id, tag || '-terminal-' || (i % scale), datetime('2026-01-01', i || ' minutes'),
    CASE i % 2 WHEN 0 THEN 'card' ELSE 'cash' END, 150 + 20 * i
    FROM seed_tenant, seq WHERE i < 80 * scale;
INSERT INTO transaction_items SELECT tag || '-transaction-item-' || i, id, tag || '-transaction-' || (i / 2),
    CASE i % 2 WHEN 0 THEN 'baguette' ELSE 'café con leche' END, 1 + i % 3
    FROM seed_tenant, seq WHERE i < 160 * scale;
INSERT INTO webhook_events SELECT tag || '-webhook-' || i, id, tag || '-terminal-' || (i % scale), 'transaction.created',
    datetime('2026-01-01', i || ' minutes'), json_object('transaction', tag || '-transaction-' || i)
    FROM seed_tenant, seq WHERE i < 30 * scale;
