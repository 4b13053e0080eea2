-- Which record it is: a cursor of another one is none of this one's. One row, random; a restored record gets another.
CREATE TABLE record (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    epoch INTEGER NOT NULL
) STRICT;
INSERT INTO record VALUES (1, random());
