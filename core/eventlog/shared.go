package eventlog

import (
	"context"
	"errors"
	"time"
)

// ErrNameTaken: another process is in the installation under the node's name.
var ErrNameTaken = errors.New("eventlog: another process has the node's name")

// Node is a process that takes part in the installation.
type Node struct {
	Name     string   // unique in the installation
	Instance [16]byte // made anew at each start
	Version  string   // of the program
	Address  string   // where the node serves, for people to read; "" when not known
	Started  time.Time
	Draining bool // the node is about to stop: it takes nothing over
}

// Head names a stream that has grown.
type Head struct {
	Stream StreamID
	Seq    uint64 // the stream's highest sequence that was seen; it may have grown further since
	Type   string // the type of one of the new events
	New    bool   // the first event of the stream is among the new ones
	// The stream's conversation row, for a conversation: its Display and its Due. Display is "" for
	// other streams.
	Display string
	Due     time.Time
}

// Shared is what a log offers in addition when several processes write it. A log that one process
// has for itself (SQLite) does not implement it.
type Shared interface {
	Log

	// Beat says that a node is alive for ttl from now on, by the store's clock, and returns all
	// nodes that are, by name. The first call takes the name: ErrNameTaken if a process that still
	// runs has it. A process that was killed, also a moment ago, does not hold it. Later calls fail
	// with ErrNameTaken once another process has taken the name: the caller must stop. A process
	// has one node.
	Beat(ctx context.Context, n Node, ttl time.Duration) ([]Node, error)
	// Leave takes the node out at once, unless another process has its name by now.
	Leave(ctx context.Context, n Node) error

	// Follow calls told with streams that have grown since Follow was called, by whichever process,
	// within about a second, until ctx ends. A stream may be named again although it has not grown.
	// Unlike Tail, Follow does not stop where a transaction that somebody left open might still
	// commit. told runs in the caller's goroutine. While the store cannot be reached, Follow goes on
	// trying. Follow calls told for the first time, perhaps without heads, once it has begun: what is
	// committed later is not missed.
	Follow(ctx context.Context, told func([]Head)) error

	// FollowOutbox calls told with the commands of rows that belong to a node and are pending (neither
	// settled nor unknown), and that were appended since FollowOutbox was called, by whichever process,
	// with or without events, within about a second, until ctx ends. A command may be told twice. A row
	// whose transaction took unusually long may be missed, and one that came to the node later is: the
	// rows must be read now and then all the same. For the rest it is like Follow.
	FollowOutbox(ctx context.Context, node string, told func(commands [][16]byte)) error

	// Overdue returns up to limit rows of conversations that are not concluded and whose Due is
	// before a time, earliest first, after the row (due, id) of an earlier page (zero: from the
	// first).
	Overdue(ctx context.Context, before, due time.Time, id StreamID, limit int) ([]ConversationRow, error)
}
