-- +goose Up

-- Status callbacks for ids that are bound to no event yet. at: nanoseconds
-- since 1970 UTC.
CREATE TABLE early_receipts (
  account BLOB    NOT NULL,
  key     BLOB    NOT NULL,
  status  TEXT    NOT NULL,
  at      INTEGER NOT NULL,
  body    BLOB,
  key_id  INTEGER NOT NULL,
  sum     INTEGER NOT NULL,
  PRIMARY KEY (account, key, status)
) STRICT, WITHOUT ROWID;
CREATE INDEX early_receipts_at ON early_receipts (at);

-- +goose Down
DROP TABLE early_receipts;
