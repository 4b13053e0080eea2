-- As before, but another epoch begins also where numbers that were told are lost: by a crash of a server that did not wait
-- for its disk, or with a disk that was set back. Who calls says which he knows. `began` says why one began.
DROP FUNCTION number_changes(bigint);
CREATE FUNCTION number_changes(
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
        DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT most) RETURNING id, site_id, path
    )
    INSERT INTO changes (seq, site_id, path)
        SELECT head + row_number() OVER (ORDER BY id), taken.site_id, taken.path FROM taken;
    GET DIAGNOSTICS numbered = ROW_COUNT;
    IF numbered > 0 THEN
        head := head + numbered;
    END IF;
    IF numbered > 0 OR began IS NOT NULL THEN
        PERFORM pg_notify('wayside_changes', epoch || '/' || head);
    END IF;
END
$$;
