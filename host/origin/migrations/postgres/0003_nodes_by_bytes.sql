-- Ids of nodes are compared by their bytes, as all else is, whatever the database's language.
ALTER TABLE nodes ALTER COLUMN id TYPE text COLLATE "C";
