-- A site that ends takes its assets with it: they are found by its number.
CREATE INDEX assets_by_site ON assets (site_id);
