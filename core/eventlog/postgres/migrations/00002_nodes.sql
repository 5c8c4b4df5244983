-- +goose Up

-- The processes of the installation. until is this server's own clock, so that
-- the clocks of the nodes do not matter. A process holds an advisory lock on
-- its name as long as it is connected.
CREATE TABLE nodes (
  name     text        PRIMARY KEY,
  instance uuid        NOT NULL,
  version  text        NOT NULL,
  address  text        NOT NULL,
  started  timestamptz NOT NULL,
  until    timestamptz NOT NULL,
  draining boolean     NOT NULL
) WITH (fillfactor = 50);

-- When somebody must look at a conversation; 0: never, or written by an older
-- version, whose rows are visited at the start of a node.
-- This changes no row, and so needs the table for a moment only.
ALTER TABLE conversations ADD COLUMN due bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE conversations DROP COLUMN due;
DROP TABLE nodes;
