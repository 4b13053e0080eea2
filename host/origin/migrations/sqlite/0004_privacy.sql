-- What nodes may keep of the requests to a site.
ALTER TABLE sites ADD COLUMN privacy TEXT NOT NULL DEFAULT 'redacted';
