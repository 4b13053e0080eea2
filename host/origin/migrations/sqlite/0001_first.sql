-- Every table carries its tenant, so that a sharded store can distribute by it.

CREATE TABLE sites (
    -- AUTOINCREMENT: a number is never given twice, as edges key their caches by it.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    not_found TEXT,
    bucket_key BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (tenant, name)
) STRICT;

CREATE TABLE site_hosts (
    pattern TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    site_id INTEGER NOT NULL REFERENCES sites (id) ON DELETE CASCADE,
    position INTEGER NOT NULL
) STRICT;
CREATE INDEX site_hosts_by_site ON site_hosts (site_id, position);

CREATE TABLE links (
    tenant TEXT NOT NULL,
    site_id INTEGER NOT NULL REFERENCES sites (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    target TEXT NOT NULL,
    status INTEGER NOT NULL,
    forward_query INTEGER NOT NULL,
    starts_at INTEGER,
    expires_at INTEGER,
    fallback TEXT,
    tags TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (site_id, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE rules (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    site_id INTEGER NOT NULL REFERENCES sites (id) ON DELETE CASCADE,
    priority INTEGER NOT NULL,
    pattern TEXT NOT NULL,
    target TEXT NOT NULL,
    status INTEGER NOT NULL,
    UNIQUE (site_id, pattern)
) STRICT;

CREATE TABLE components (
    tenant TEXT NOT NULL,
    digest TEXT NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (tenant, digest)
) STRICT;

CREATE TABLE policy_versions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    world TEXT NOT NULL,
    imports TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (tenant, name, digest),
    FOREIGN KEY (tenant, digest) REFERENCES components (tenant, digest)
) STRICT;

CREATE TABLE bindings (
    tenant TEXT NOT NULL,
    site_id INTEGER NOT NULL REFERENCES sites (id) ON DELETE CASCADE,
    prefix TEXT NOT NULL,
    policy TEXT NOT NULL,
    digest TEXT NOT NULL,
    settings TEXT NOT NULL,
    on_failure TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (site_id, prefix)
) STRICT;

-- What each binding was before, newest last; a rollback takes one off.
CREATE TABLE binding_history (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    site_id INTEGER NOT NULL REFERENCES sites (id) ON DELETE CASCADE,
    prefix TEXT NOT NULL,
    policy TEXT NOT NULL,
    digest TEXT NOT NULL,
    settings TEXT NOT NULL,
    on_failure TEXT NOT NULL
) STRICT;
CREATE INDEX binding_history_by_binding ON binding_history (site_id, prefix, number);

CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    -- NULL: an operator's.
    tenant TEXT,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    hash BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

-- What edges are told. Written in the transaction of the change itself; the one writer makes commit order sequence order.
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    site_id INTEGER,
    path TEXT
) STRICT;
