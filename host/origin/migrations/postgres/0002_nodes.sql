-- Edges: invited once, enrolled with a key of their own, revoked for good. Hashes and public keys, never secrets.
-- Nobody's tenant's: when sharded, a reference table.
CREATE TABLE nodes (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    invitation_hash BYTEA NOT NULL,
    invited_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    public_key BYTEA,
    enrolled_at BIGINT,
    revoked_at BIGINT
);
