-- How a bakery makes its products.
CREATE TABLE recipes (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    name        TEXT NOT NULL,
    yield_units INTEGER NOT NULL CHECK (yield_units > 0),
    minutes     INTEGER NOT NULL
) STRICT;
CREATE TABLE recipe_ingredients (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    recipe_id   TEXT NOT NULL REFERENCES recipes (id),
    ingredient  TEXT NOT NULL,
    grams       REAL NOT NULL
) STRICT;
CREATE TABLE recipe_steps (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    recipe_id   TEXT NOT NULL REFERENCES recipes (id),
    position    INTEGER NOT NULL,
    instruction TEXT NOT NULL
) STRICT;
CREATE TABLE recipe_costs (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    recipe_id   TEXT NOT NULL REFERENCES recipes (id),
    month       TEXT NOT NULL,
    cents       INTEGER NOT NULL
) STRICT;
CREATE INDEX recipe_ingredients_of_recipe ON recipe_ingredients (recipe_id);
CREATE INDEX recipe_steps_of_recipe ON recipe_steps (recipe_id);
CREATE INDEX recipe_costs_of_recipe ON recipe_costs (recipe_id);
