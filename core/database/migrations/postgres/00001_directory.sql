-- +goose Up
-- One row; every change of a record counts it up first.
CREATE TABLE directory_version (
  one     integer PRIMARY KEY CHECK (one = 1),
  version bigint NOT NULL
);
INSERT INTO directory_version (one, version) VALUES (1, 0);

-- record is the JSON of the Go type of the same name. Ids are 16 bytes. Names
-- and keys are compared byte by byte.
CREATE TABLE users (
  id       bytea PRIMARY KEY,
  name     text COLLATE "C" NOT NULL UNIQUE,
  record   text NOT NULL,
  password text NOT NULL DEFAULT ''
);

CREATE TABLE teams (
  id     bytea PRIMARY KEY,
  name   text COLLATE "C" NOT NULL UNIQUE,
  record text NOT NULL
);

CREATE TABLE skills (
  name   text COLLATE "C" PRIMARY KEY,
  record text NOT NULL
);

CREATE TABLE services (
  id     bytea PRIMARY KEY,
  name   text COLLATE "C" NOT NULL UNIQUE,
  record text NOT NULL
);

CREATE TABLE accounts (
  id      bytea PRIMARY KEY,
  name    text COLLATE "C" NOT NULL UNIQUE,
  record  text NOT NULL,
  key_id  bigint NOT NULL DEFAULT 0,
  secrets bytea
);

CREATE TABLE contacts (
  id         bytea PRIMARY KEY,
  key_id     bigint NOT NULL,
  sealed     bytea NOT NULL,
  updated_at bigint NOT NULL
);

CREATE TABLE contact_addresses (
  address bytea NOT NULL,
  contact bytea NOT NULL,
  PRIMARY KEY (address, contact)
);
CREATE INDEX contact_addresses_contact ON contact_addresses (contact);

-- Times are milliseconds since 1970 UTC.
CREATE TABLE sessions (
  id         bytea PRIMARY KEY,
  token_hash bytea NOT NULL UNIQUE,
  user_id    bytea NOT NULL,
  bearer     boolean NOT NULL,
  created_at bigint NOT NULL,
  seen_at    bigint NOT NULL,
  expires_at bigint NOT NULL,
  revoked_at bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 80);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_revoked ON sessions (revoked_at) WHERE revoked_at > 0;

CREATE TABLE audit (
  seq    bigint PRIMARY KEY,
  at     bigint NOT NULL,
  entry  text NOT NULL,
  prev   bytea NOT NULL,
  hash   bytea NOT NULL
);
-- +goose StatementBegin
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit trail is append-only';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_no_delete BEFORE DELETE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();

CREATE TABLE plugin_keys (
  plugin text COLLATE "C" PRIMARY KEY,
  key_id bigint NOT NULL
);

CREATE TABLE plugin_kv (
  plugin  text COLLATE "C" NOT NULL,
  key     text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  value   bytea NOT NULL,
  PRIMARY KEY (plugin, key)
);

CREATE TABLE blobs (
  id           bytea PRIMARY KEY,
  conversation bytea,
  account      bytea,
  key_id       bigint NOT NULL,
  size         bigint NOT NULL,
  mime         text NOT NULL,
  width        integer NOT NULL DEFAULT 0,
  height       integer NOT NULL DEFAULT 0,
  thumbnail    boolean NOT NULL DEFAULT FALSE,
  name         bytea NOT NULL,
  state        text NOT NULL,
  used         boolean NOT NULL DEFAULT FALSE,
  created_at   bigint NOT NULL
);
CREATE INDEX blobs_conversation ON blobs (conversation) WHERE conversation IS NOT NULL;
CREATE INDEX blobs_unused ON blobs (created_at) WHERE (used = FALSE OR state <> 'ready') AND state <> 'deleted';

-- +goose Down
DROP TABLE blobs;
DROP TABLE plugin_kv;
DROP TABLE plugin_keys;
DROP TABLE audit;
DROP FUNCTION audit_is_append_only;
DROP TABLE sessions;
DROP TABLE contact_addresses;
DROP TABLE contacts;
DROP TABLE accounts;
DROP TABLE services;
DROP TABLE skills;
DROP TABLE teams;
DROP TABLE users;
DROP TABLE directory_version;
