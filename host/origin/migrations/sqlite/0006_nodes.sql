-- Edges: invited once, enrolled with a key of their own, revoked for good. Hashes and public keys, never secrets.
CREATE TABLE nodes (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    invitation_hash BLOB NOT NULL,
    invited_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    public_key BLOB,
    enrolled_at INTEGER,
    revoked_at INTEGER
) STRICT;
