-- +goose Up

-- Rows are appended in commit order; (stream, seq) is an index beside them.
-- Clustering by (stream, seq) instead costs four fifths of the throughput
-- (DESIGN.md 5). Times are nanoseconds since 1970 UTC, 0 when not known.
-- sum is CRC-32C over the row's content: SQLite itself does not notice a
-- flipped bit inside a value.
CREATE TABLE events (
  pos    INTEGER PRIMARY KEY,
  stream BLOB    NOT NULL,
  seq    INTEGER NOT NULL,
  at     INTEGER NOT NULL,
  type   TEXT    NOT NULL,
  head   BLOB,
  body   BLOB,
  key_id INTEGER NOT NULL,
  sum    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_stream_seq ON events (stream, seq);

CREATE TABLE external_ids (
  account BLOB    NOT NULL,
  key     BLOB    NOT NULL,
  stream  BLOB    NOT NULL,
  seq     INTEGER NOT NULL,
  sum     INTEGER NOT NULL,
  PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;

-- agents: 17 bytes for each agent that takes or took part: id, then 1 if active.
CREATE TABLE conversations (
  n          INTEGER PRIMARY KEY,
  id         BLOB    NOT NULL UNIQUE,
  seq        INTEGER NOT NULL,
  account    BLOB    NOT NULL,
  service    BLOB,
  contact    BLOB,
  key_id     INTEGER NOT NULL,
  phase      TEXT    NOT NULL,
  display    TEXT    NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at   INTEGER NOT NULL,
  state      BLOB,
  agents     BLOB,
  sum        INTEGER NOT NULL
) STRICT;
CREATE INDEX conversations_phase   ON conversations (phase, started_at, id);
CREATE INDEX conversations_started ON conversations (started_at, id);
CREATE INDEX conversations_account ON conversations (account, started_at, id);
CREATE INDEX conversations_service ON conversations (service, started_at, id) WHERE service IS NOT NULL;
CREATE INDEX conversations_contact ON conversations (contact, started_at, id) WHERE contact IS NOT NULL;

-- Finds conversations by agent; the truth is in conversations.agents.
CREATE TABLE conversation_agents (
  agent        BLOB    NOT NULL,
  started_at   INTEGER NOT NULL,
  conversation BLOB    NOT NULL,
  active       INTEGER NOT NULL,
  PRIMARY KEY (agent, started_at, conversation)
) STRICT, WITHOUT ROWID;

CREATE TABLE agents (
  id    BLOB    NOT NULL PRIMARY KEY,
  seq   INTEGER NOT NULL,
  state BLOB,
  sum   INTEGER NOT NULL
) STRICT;

CREATE TABLE open_threads (
  account      BLOB    NOT NULL,
  key          BLOB    NOT NULL,
  conversation BLOB    NOT NULL,
  sum          INTEGER NOT NULL,
  PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
  n            INTEGER PRIMARY KEY,
  command_id   BLOB    NOT NULL UNIQUE,
  account      BLOB    NOT NULL,
  conversation BLOB,
  seq          INTEGER NOT NULL,
  kind         TEXT    NOT NULL,
  route        TEXT    NOT NULL,
  state        TEXT    NOT NULL,
  attempt      INTEGER NOT NULL,
  not_before   INTEGER NOT NULL,
  deadline     INTEGER NOT NULL,
  payload      BLOB,
  key_id       INTEGER NOT NULL,
  node         TEXT    NOT NULL,
  epoch        INTEGER NOT NULL,
  sum          INTEGER NOT NULL
) STRICT;
-- Settled rows stay for ever and are never looked for by account.
CREATE INDEX outbox_unsettled ON outbox (account, n) WHERE state <> 'settled';

-- node is '' once released. until: nanoseconds since 1970 UTC.
CREATE TABLE leases (
  name  TEXT    NOT NULL PRIMARY KEY,
  node  TEXT    NOT NULL,
  epoch INTEGER NOT NULL,
  until INTEGER NOT NULL
) STRICT;

-- max_key: the largest data key id in use. open: 1 while a process writes.
CREATE TABLE log_meta (
  name  TEXT    NOT NULL PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO log_meta (name, value) VALUES ('max_key', 0), ('open', 0);

-- +goose Down
DROP TABLE log_meta;
DROP TABLE leases;
DROP TABLE outbox;
DROP TABLE open_threads;
DROP TABLE agents;
DROP TABLE conversation_agents;
DROP TABLE conversations;
DROP TABLE external_ids;
DROP TABLE events;
