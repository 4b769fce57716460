-- Weather, traffic and events around a bakery. `cities` is shared by all tenants and outlives them.
CREATE TABLE cities (
    code        TEXT PRIMARY KEY,
    name        TEXT NOT NULL
) STRICT;
INSERT INTO cities VALUES ('MAD', 'Madrid'), ('VLC', 'Valencia');
CREATE TABLE locations (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    city        TEXT NOT NULL REFERENCES cities (code),
    latitude    REAL NOT NULL,
    longitude   REAL NOT NULL
) STRICT;
CREATE TABLE weather_observations (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    location_id TEXT NOT NULL REFERENCES locations (id),
    day         TEXT NOT NULL,
    celsius     REAL NOT NULL,
    rain_mm     REAL NOT NULL
) STRICT;
CREATE TABLE traffic_counts (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    location_id TEXT NOT NULL REFERENCES locations (id),
    hour        TEXT NOT NULL,
    vehicles    INTEGER NOT NULL
) STRICT;
CREATE TABLE nearby_events (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    location_id TEXT NOT NULL REFERENCES locations (id),
    day         TEXT NOT NULL,
    title       TEXT NOT NULL
) STRICT;
CREATE INDEX weather_observations_of_location ON weather_observations (location_id, day);
CREATE INDEX traffic_counts_of_location ON traffic_counts (location_id, hour);
CREATE INDEX nearby_events_of_location ON nearby_events (location_id);
