-- Which patterns lie below a domain: the names, backwards, so that a domain and all below it are one range.
ALTER TABLE site_hosts ADD COLUMN backwards TEXT NOT NULL DEFAULT '';
UPDATE site_hosts SET backwards = (
    WITH RECURSIVE
        name (text) AS (SELECT iif(substr(pattern, 1, 2) = '*.', substr(pattern, 3), pattern)),
        turned (rest, text) AS (
            SELECT length(name.text), '' FROM name
            UNION ALL
            SELECT rest - 1, turned.text || substr(name.text, rest, 1) FROM turned, name WHERE rest > 0
        )
    SELECT text FROM turned WHERE rest = 0
);
CREATE INDEX site_hosts_by_domain ON site_hosts (backwards);
