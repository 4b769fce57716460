-- Reads `seed_tenant (id, tag, scale)` and `seq (i)`, two temporary tables that the store makes.
INSERT INTO recipes SELECT tag || '-recipe-' || i, id, 'Recipe ' || i, 20 + i, 90 + 5 * i
    FROM seed_tenant, seq WHERE i < 7 * scale;
INSERT INTO recipe_ingredients SELECT tag || '-recipe-ingredient-' || i, id, tag || '-recipe-' || (i / 4),
    CASE i % 4 WHEN 0 THEN 'flour' WHEN 1 THEN 'water' WHEN 2 THEN 'salt' ELSE 'yeast' END, 12.5 * (1 + i)
    FROM seed_tenant, seq WHERE i < 28 * scale;
INSERT INTO recipe_steps SELECT tag || '-recipe-step-' || i, id, tag || '-recipe-' || (i / 3), i % 3,
    CASE i % 3 WHEN 0 THEN 'knead' WHEN 1 THEN 'let rise' ELSE 'bake' END
    FROM seed_tenant, seq WHERE i < 21 * scale;
INSERT INTO recipe_costs SELECT tag || '-recipe-cost-' || i, id, tag || '-recipe-' || (i / 2), printf('2026-%02d', 1 + i % 2), 45 + i
    FROM seed_tenant, seq WHERE i < 14 * scale;
