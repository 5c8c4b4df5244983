-- +goose Up
-- What core/project has made of the log: the tables of a projection hold what
-- the events up to position say. position changes in the transaction that
-- changes those tables. tables: their names, separated by commas. problem: why
-- the projection has stopped; '' while it goes on.
CREATE TABLE projections (
  name     text   PRIMARY KEY,
  version  bigint  NOT NULL,
  position bigint  NOT NULL,
  tables   text   NOT NULL,
  problem  text   NOT NULL DEFAULT ''
);

-- +goose Down
DROP TABLE projections;
