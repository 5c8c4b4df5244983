-- +goose Up

-- Rows are appended in commit order; (stream, seq) is an index beside them
-- (DESIGN.md 5). Times are nanoseconds since 1970 UTC, 0 when not known.
-- xid is the transaction that wrote the row: a reader of positions stops
-- before rows whose transaction is not older than all that are under way.
CREATE TABLE events (
  pos    bigint PRIMARY KEY,
  xid    xid8   NOT NULL,
  stream uuid   NOT NULL,
  seq    bigint NOT NULL,
  at     bigint NOT NULL,
  key_id bigint NOT NULL,
  type   text   NOT NULL,
  head   bytea,
  body   bytea,
  CONSTRAINT events_stream_seq UNIQUE (stream, seq)
);
ALTER TABLE events ALTER COLUMN body SET STORAGE EXTERNAL; -- sealed: does not compress
CREATE SEQUENCE events_pos AS bigint;

-- event_positions reserves n positions. It must be what first gives the
-- transaction its id: under the lock, ids and positions come in one order.
-- +goose StatementBegin
CREATE FUNCTION event_positions(n bigint, OUT first bigint, OUT xid xid8) LANGUAGE plpgsql AS $$
DECLARE
  door CONSTANT int := 'events'::regclass::oid::int;
BEGIN
  PERFORM pg_advisory_lock(door, 1);
  xid := pg_current_xact_id();
  first := nextval('events_pos');
  IF n > 1 THEN
    PERFORM setval('events_pos', first + n - 1);
  END IF;
  PERFORM pg_advisory_unlock(door, 1);
END
$$;
-- +goose StatementEnd

CREATE TABLE external_ids (
  account uuid   NOT NULL,
  key     bytea  NOT NULL,
  stream  uuid   NOT NULL,
  seq     bigint NOT NULL,
  PRIMARY KEY (account, key)
);

-- agents: 17 bytes for each agent that takes or took part: id, then 1 if active.
CREATE TABLE conversations (
  id         uuid   PRIMARY KEY,
  seq        bigint NOT NULL,
  account    uuid   NOT NULL,
  service    uuid,
  contact    uuid,
  key_id     bigint NOT NULL,
  phase      text   NOT NULL,
  display    text   NOT NULL,
  started_at bigint NOT NULL,
  ended_at   bigint NOT NULL,
  state      bytea,
  agents     bytea
) WITH (fillfactor = 80);
CREATE INDEX conversations_phase   ON conversations (phase, started_at, id);
CREATE INDEX conversations_started ON conversations (started_at, id);
CREATE INDEX conversations_account ON conversations (account, started_at, id);
CREATE INDEX conversations_service ON conversations (service, started_at, id) WHERE service IS NOT NULL;
CREATE INDEX conversations_contact ON conversations (contact, started_at, id) WHERE contact IS NOT NULL;

-- Finds conversations by agent; the truth is in conversations.agents.
CREATE TABLE conversation_agents (
  agent        uuid    NOT NULL,
  started_at   bigint  NOT NULL,
  conversation uuid    NOT NULL,
  active       boolean NOT NULL,
  PRIMARY KEY (agent, started_at, conversation)
);

CREATE TABLE agents (
  id    uuid   PRIMARY KEY,
  seq   bigint NOT NULL,
  state bytea
) WITH (fillfactor = 70);

CREATE TABLE open_threads (
  account      uuid  NOT NULL,
  key          bytea NOT NULL,
  conversation uuid  NOT NULL,
  PRIMARY KEY (account, key)
);

CREATE TABLE outbox (
  n            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  command_id   uuid   NOT NULL UNIQUE,
  account      uuid   NOT NULL,
  conversation uuid,
  seq          bigint NOT NULL,
  kind         text   NOT NULL,
  route        text   NOT NULL,
  state        text   NOT NULL,
  attempt      bigint NOT NULL,
  not_before   bigint NOT NULL,
  deadline     bigint NOT NULL,
  payload      bytea,
  key_id       bigint NOT NULL,
  node         text   NOT NULL,
  epoch        bigint NOT NULL
) WITH (fillfactor = 70);
ALTER TABLE outbox ALTER COLUMN payload SET STORAGE EXTERNAL;
-- Settled rows stay for ever and are never looked for by account.
CREATE INDEX outbox_unsettled         ON outbox (n)          WHERE state <> 'settled';
CREATE INDEX outbox_unsettled_account ON outbox (account, n) WHERE state <> 'settled';

-- Status callbacks for ids that are bound to no event yet.
CREATE TABLE early_receipts (
  account uuid   NOT NULL,
  key     bytea  NOT NULL,
  status  text   NOT NULL,
  at      bigint NOT NULL,
  body    bytea,
  key_id  bigint NOT NULL,
  PRIMARY KEY (account, key, status)
);
CREATE INDEX early_receipts_at ON early_receipts (at);

-- node is '' once released. Times are this server's own clock, so that the
-- clocks of the nodes do not matter.
CREATE TABLE leases (
  name  text        PRIMARY KEY,
  node  text        NOT NULL,
  epoch bigint      NOT NULL,
  until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- A row for each connection that writes. token changes in every transaction,
-- so that a writer that lost the answer to its COMMIT can look what became of
-- it. max_key is the largest data key id that it brought into use.
CREATE TABLE log_writers (
  id      uuid        PRIMARY KEY,
  token   bigint      NOT NULL,
  max_key bigint      NOT NULL,
  seen    timestamptz NOT NULL
) WITH (fillfactor = 50);

-- +goose Down
DROP TABLE log_writers;
DROP TABLE leases;
DROP TABLE early_receipts;
DROP TABLE outbox;
DROP TABLE open_threads;
DROP TABLE agents;
DROP TABLE conversation_agents;
DROP TABLE conversations;
DROP TABLE external_ids;
DROP FUNCTION event_positions;
DROP SEQUENCE events_pos;
DROP TABLE events;
