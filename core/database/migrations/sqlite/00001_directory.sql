-- +goose Up
-- One row; every change of a record counts it up first, which also puts the
-- writers in order.
CREATE TABLE directory_version (
  one     INTEGER PRIMARY KEY CHECK (one = 1),
  version INTEGER NOT NULL
) STRICT;
INSERT INTO directory_version (one, version) VALUES (1, 0);

-- record is the JSON of the Go type of the same name.
CREATE TABLE users (
  id       BLOB PRIMARY KEY,
  name     TEXT NOT NULL UNIQUE,
  record   TEXT NOT NULL,
  password TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE teams (
  id     BLOB PRIMARY KEY,
  name   TEXT NOT NULL UNIQUE,
  record TEXT NOT NULL
) STRICT;

CREATE TABLE skills (
  name   TEXT PRIMARY KEY,
  record TEXT NOT NULL
) STRICT;

CREATE TABLE services (
  id     BLOB PRIMARY KEY,
  name   TEXT NOT NULL UNIQUE,
  record TEXT NOT NULL
) STRICT;

CREATE TABLE accounts (
  id      BLOB PRIMARY KEY,
  name    TEXT NOT NULL UNIQUE,
  record  TEXT NOT NULL,
  key_id  INTEGER NOT NULL DEFAULT 0,
  secrets BLOB
) STRICT;

CREATE TABLE contacts (
  id         BLOB PRIMARY KEY,
  key_id     INTEGER NOT NULL,
  sealed     BLOB NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE contact_addresses (
  address BLOB NOT NULL,
  contact BLOB NOT NULL,
  PRIMARY KEY (address, contact)
) STRICT, WITHOUT ROWID;
CREATE INDEX contact_addresses_contact ON contact_addresses (contact);

-- Times are milliseconds since 1970 UTC.
CREATE TABLE sessions (
  id         BLOB PRIMARY KEY,
  token_hash BLOB NOT NULL UNIQUE,
  user_id    BLOB NOT NULL,
  bearer     INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  seen_at    INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_revoked ON sessions (revoked_at) WHERE revoked_at > 0;

CREATE TABLE audit (
  seq    INTEGER PRIMARY KEY,
  at     INTEGER NOT NULL,
  entry  TEXT NOT NULL,
  prev   BLOB NOT NULL,
  hash   BLOB NOT NULL
) STRICT;
-- +goose StatementBegin
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN
  SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN
  SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
-- +goose StatementEnd

CREATE TABLE plugin_keys (
  plugin TEXT PRIMARY KEY,
  key_id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE plugin_kv (
  plugin  TEXT NOT NULL,
  key     TEXT NOT NULL,
  version INTEGER NOT NULL,
  value   BLOB NOT NULL,
  PRIMARY KEY (plugin, key)
) STRICT;

CREATE TABLE blobs (
  id           BLOB PRIMARY KEY,
  conversation BLOB,
  account      BLOB,
  key_id       INTEGER NOT NULL,
  size         INTEGER NOT NULL,
  mime         TEXT NOT NULL,
  width        INTEGER NOT NULL DEFAULT 0,
  height       INTEGER NOT NULL DEFAULT 0,
  thumbnail    INTEGER NOT NULL DEFAULT 0,
  name         BLOB NOT NULL,
  state        TEXT NOT NULL,
  used         INTEGER NOT NULL DEFAULT 0,
  created_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX blobs_conversation ON blobs (conversation) WHERE conversation IS NOT NULL;
CREATE INDEX blobs_unused ON blobs (created_at) WHERE (used = 0 OR state <> 'ready') AND state <> 'deleted';

-- +goose Down
DROP TABLE blobs;
DROP TABLE plugin_kv;
DROP TABLE plugin_keys;
DROP TABLE audit;
DROP TABLE sessions;
DROP TABLE contact_addresses;
DROP TABLE contacts;
DROP TABLE accounts;
DROP TABLE services;
DROP TABLE skills;
DROP TABLE teams;
DROP TABLE users;
DROP TABLE directory_version;
