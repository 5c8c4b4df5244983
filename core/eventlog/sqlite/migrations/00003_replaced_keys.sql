-- +goose Up

-- Data keys that a rewrite of a stream has taken out of use and that are still
-- to be destroyed.
CREATE TABLE replaced_keys (
  key_id INTEGER PRIMARY KEY,
  stream BLOB    NOT NULL
) STRICT;

-- +goose Down
DROP TABLE replaced_keys;
