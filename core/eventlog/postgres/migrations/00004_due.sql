-- +goose NO TRANSACTION
-- +goose Up

-- The index is made while others read and write. Making it waits for transactions that are under
-- way, without keeping anybody, so it must not be given up after a moment as other statements are.
-- One that a broken attempt left behind is not usable; 00002 made one too, for a while.
SET lock_timeout = 0;
DROP INDEX CONCURRENTLY IF EXISTS conversations_due;
CREATE INDEX CONCURRENTLY conversations_due ON conversations (due, id) WHERE due <> 0 AND phase <> 'concluded';
RESET lock_timeout;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS conversations_due;
