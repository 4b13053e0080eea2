-- Below which path of a site its assets are; NULL: they have no paths of their own.
ALTER TABLE sites ADD COLUMN streams TEXT;

-- When something new last came to a tenant's targets and pathways, in milliseconds since 1970: the next comes later.
CREATE TABLE stream_clocks (
    tenant TEXT PRIMARY KEY,
    last_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE targets (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    -- As nodes are told, in JSON.
    body TEXT NOT NULL,
    -- When it was made, in milliseconds since 1970: no other of the tenant's is of the same.
    since_ms INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE assets (
    tenant TEXT NOT NULL,
    site_id INTEGER NOT NULL REFERENCES sites (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    -- As nodes are told, in JSON; empty when it was deleted.
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    -- One that was deleted is told from one that never was.
    deleted_at INTEGER,
    PRIMARY KEY (tenant, site_id, id)
) STRICT, WITHOUT ROWID;

-- Coverage zones, as they were uploaded. Nodes ask by the digest.
CREATE TABLE zones (
    tenant TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    body BLOB NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX zones_by_digest ON zones (digest);

-- The change is one of this asset.
ALTER TABLE changes ADD COLUMN asset TEXT;
