// Package bus carries hints between the routers of an installation, and
// between routers that share a process in tests.
//
// A hint says "stream X has reached seq N" or "the outbox of account A has
// work", and nothing more: the receiver reads the database (DESIGN.md 1.4,
// promises.md 4.8). So a hint may be lost, repeated, late or out of order
// without harm beyond delay, and it can be published only after the commit.
//
// What happens to a slow reader: hints to one reader are merged by stream, and the highest seq
// replaces lower ones. So its backlog is bounded by the number of streams that changed, and no
// publisher ever waits for a reader. Close waits until no reader's function runs.
//
// The bus does not promise that a hint arrives: a reader who must know of every change also reads
// the database regularly. The bus leaves it to each reader what to do with a hint.
package bus
