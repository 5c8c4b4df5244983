-- +goose Up
CREATE TABLE vault_meta (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- wrapped is NULL once the key is destroyed; the row stays, so that a
-- destroyed key is told apart from one that never was.
CREATE TABLE vault_keys (
  id      INTEGER PRIMARY KEY,
  wrapped BLOB
) STRICT;

-- +goose Down
DROP TABLE vault_keys;
DROP TABLE vault_meta;
