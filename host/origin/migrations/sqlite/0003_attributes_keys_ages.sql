-- What else a link's owner says of it: a JSON object.
ALTER TABLE links ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}';
-- What `visitor.bucket` tells visitors apart by.
ALTER TABLE bindings ADD COLUMN visitor_key TEXT NOT NULL DEFAULT 'address';
ALTER TABLE binding_history ADD COLUMN visitor_key TEXT NOT NULL DEFAULT 'address';
-- How long caches may keep a redirect, in seconds; NULL: the defaults.
ALTER TABLE sites ADD COLUMN max_age_s INTEGER;
