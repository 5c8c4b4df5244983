-- +goose Up
-- thread: the keyed hash of the thread that a plugin's upload came in on; NULL
-- when it names none. orphaned_at: since when an attachment is an orphan, in ms;
-- its content goes a while later, since a message may be on its way to the log.
ALTER TABLE blobs ADD COLUMN thread BLOB;
ALTER TABLE blobs ADD COLUMN orphaned_at INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE blobs DROP COLUMN orphaned_at;
ALTER TABLE blobs DROP COLUMN thread;
