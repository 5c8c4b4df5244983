-- +goose Up
-- Data keys that a change of records has made useless and that the key store
-- has not destroyed yet. They are written with the change, so that they are
-- destroyed even if the key store is away or the process dies.
CREATE TABLE spent_keys (
  key_id INTEGER PRIMARY KEY
) STRICT;

-- +goose Down
DROP TABLE spent_keys;
