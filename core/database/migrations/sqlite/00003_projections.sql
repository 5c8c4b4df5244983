-- +goose Up
-- What core/project has made of the log: the tables of a projection hold what
-- the events up to position say. position changes in the transaction that
-- changes those tables. tables: their names, separated by commas. problem: why
-- the projection has stopped; '' while it goes on.
CREATE TABLE projections (
  name     TEXT    PRIMARY KEY,
  version  INTEGER NOT NULL,
  position INTEGER NOT NULL,
  tables   TEXT    NOT NULL,
  problem  TEXT    NOT NULL DEFAULT ''
) STRICT;

-- +goose Down
DROP TABLE projections;
