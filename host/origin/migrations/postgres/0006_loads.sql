-- How loaded targets are, as origins share it: what nodes count, and what operators say. Soft state, so it is not logged;
-- a crash empties it, and nobody on a replica reads it. When sharded, the coordinator's own.
CREATE UNLOGGED TABLE loads (
    key text COLLATE "C" PRIMARY KEY,
    body text NOT NULL,
    -- When it was said, when it came here, and until when it counts.
    told_at timestamptz NOT NULL,
    noted_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
