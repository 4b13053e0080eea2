-- Below which path of a site its assets are; NULL: they have no paths of their own.
ALTER TABLE sites ADD COLUMN streams text;

-- When something new last came to a tenant's targets and pathways, in milliseconds since 1970: the next comes later. Who
-- writes one holds its row, so that a tenant's come one after another.
CREATE TABLE stream_clocks (
    tenant text COLLATE "C" PRIMARY KEY,
    last_ms bigint NOT NULL
);

CREATE TABLE targets (
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    -- As nodes are told, in JSON.
    body text NOT NULL,
    -- When it was made, in milliseconds since 1970: no other of the tenant's is of the same.
    since_ms bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE assets (
    tenant text COLLATE "C" NOT NULL,
    site_id bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    -- As nodes are told, in JSON; empty when it was deleted.
    body text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    -- One that was deleted is told from one that never was.
    deleted_at bigint,
    PRIMARY KEY (tenant, site_id, id),
    FOREIGN KEY (tenant, site_id) REFERENCES sites (tenant, id) ON DELETE CASCADE
);

-- Coverage zones, as they were uploaded. Nodes ask by the digest.
CREATE TABLE zones (
    tenant text COLLATE "C" PRIMARY KEY,
    digest text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    updated_at bigint NOT NULL
);
CREATE INDEX zones_by_digest ON zones (digest);

-- The change is one of this asset.
ALTER TABLE outbox ADD COLUMN asset text;
ALTER TABLE changes ADD COLUMN asset text;

-- As before, with assets.
CREATE OR REPLACE FUNCTION number_changes(
    most bigint, told_epoch bigint DEFAULT NULL, told bigint DEFAULT NULL,
    OUT epoch bigint, OUT head bigint, OUT numbered bigint, OUT began text
) LANGUAGE plpgsql AS $$
DECLARE
    here constant text := record_identity();
    was text;
BEGIN
    PERFORM pg_advisory_xact_lock(7710533084686634);
    SELECT record.epoch, record.identity INTO epoch, was FROM record;
    SELECT coalesce(max(seq), 0) INTO head FROM changes;
    IF split_part(was, '/', 1) <> split_part(here, '/', 1) THEN
        began := 'it was restored into another cluster';
    ELSIF split_part(was, '/', 2) <> split_part(here, '/', 2) THEN
        began := 'it was restored from a dump';
    ELSIF was <> here THEN
        began := 'it goes on on a standby that was promoted, or from an earlier instant';
    ELSIF told_epoch = epoch AND told > head THEN
        began := format('changes up to %s were told, and those after %s are lost', told, head);
    END IF;
    IF began IS NOT NULL THEN
        -- What nodes know of it is no longer true. Those that know only a cursor see it far behind.
        epoch := random_epoch();
        UPDATE record SET epoch = number_changes.epoch, identity = here;
        head := head + 1000000000;
        DELETE FROM changes;
        INSERT INTO changes (seq) VALUES (head);
        -- The numbers of sites and rules that are lost are not given again: nodes and tenants may know them still.
        PERFORM setval(numbers, nextval(numbers) + 1000000)
            FROM (VALUES (pg_get_serial_sequence('sites', 'id')::regclass),
                (pg_get_serial_sequence('rules', 'id')::regclass)) AS given (numbers);
    END IF;
    WITH taken AS (
        DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT most) RETURNING id, site_id, path, asset
    )
    INSERT INTO changes (seq, site_id, path, asset)
        SELECT head + row_number() OVER (ORDER BY id), taken.site_id, taken.path, taken.asset FROM taken;
    GET DIAGNOSTICS numbered = ROW_COUNT;
    IF numbered > 0 THEN
        head := head + numbered;
    END IF;
    IF numbered > 0 OR began IS NOT NULL THEN
        PERFORM pg_notify('wayside_changes', epoch || '/' || head);
    END IF;
END
$$;
