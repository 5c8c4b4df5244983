-- +goose Up
CREATE TABLE vault_meta (
  name  text PRIMARY KEY,
  value bytea NOT NULL
);

-- wrapped is NULL once the key is destroyed; the row stays, so that a destroyed key is told apart
-- from one that never was. gone is the number of the destroying, by which other nodes hear of it.
CREATE TABLE vault_keys (
  id      bigint PRIMARY KEY,
  wrapped bytea,
  gone    bigint
);
CREATE INDEX vault_keys_gone ON vault_keys (gone) WHERE gone IS NOT NULL;

-- One row, which every writer locks first: writers take turns. last is the largest id that was ever
-- handed out, gone the number of the latest destroying.
CREATE TABLE vault_state (
  one  boolean PRIMARY KEY DEFAULT true CHECK (one),
  last bigint NOT NULL DEFAULT 0,
  gone bigint NOT NULL DEFAULT 0
);
INSERT INTO vault_state DEFAULT VALUES;

-- +goose Down
DROP TABLE vault_state;
DROP TABLE vault_keys;
DROP TABLE vault_meta;
