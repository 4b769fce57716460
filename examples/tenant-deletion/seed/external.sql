-- Reads `seed_tenant (id, tag, scale)` and `seq (i)`, two temporary tables that the store makes.
INSERT INTO locations SELECT tag || '-location-' || i, id, CASE i % 2 WHEN 0 THEN 'MAD' ELSE 'VLC' END, 40.41 + i / 100.0, -3.70 - i / 100.0
    FROM seed_tenant, seq WHERE i < scale;
INSERT INTO weather_observations SELECT tag || '-weather-' || i, id, tag || '-location-' || (i % scale), date('2026-01-01', (i / scale) || ' days'),
    8.0 + i % 12, (i % 4) * 1.5
    FROM seed_tenant, seq WHERE i < 60 * scale;
INSERT INTO traffic_counts SELECT tag || '-traffic-' || i, id, tag || '-location-' || (i % scale), datetime('2026-01-01', (i / scale) || ' hours'), 240 + 7 * i
    FROM seed_tenant, seq WHERE i < 90 * scale;
INSERT INTO nearby_events SELECT tag || '-event-' || i, id, tag || '-location-' || (i % scale), date('2026-01-06', i || ' days'),
    CASE i % 2 WHEN 0 THEN 'street market' ELSE 'football match' END
    FROM seed_tenant, seq WHERE i < 5 * scale;
