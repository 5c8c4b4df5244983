package outbox

import (
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

// Kinds of outbox rows.
const (
	KindSend     = "send"      // sends a message
	KindProcess  = "process"   // has the plugin process a deferred item
	KindCall     = "call"      // tells a plugin what a call is to do
	KindMarkRead = "mark_read" // tells a provider how far the customer's messages have been read
	KindToolEnd  = "tool_end"  // tells a tool that a session of its is over
)

// kinds lists the kinds of rows, for metrics.
func kinds() []string { return []string{KindSend, KindProcess, KindCall, KindMarkRead, KindToolEnd} }

// treatment is how the commands of one kind are treated (DESIGN.md 4).
type treatment struct {
	deadline time.Duration // how long a command is tried before it is given up
	// grace is how long after a command's deadline a plugin that holds the command may still give
	// its Result.
	grace time.Duration
	// again: carrying a command out twice does no harm. So a command whose outcome is not known is
	// tried again.
	again bool
}

func treatmentOf(kind string) treatment {
	switch kind {
	case KindProcess, KindToolEnd:
		return treatment{deadline: 24 * time.Hour, grace: 5 * time.Minute, again: true}
	case KindCall: // people wait at the telephone
		return treatment{deadline: 15 * time.Second, grace: 2 * time.Second}
	case KindMarkRead:
		return treatment{deadline: time.Hour, grace: 5 * time.Minute, again: true}
	default:
		return treatment{deadline: 4 * time.Hour, grace: 5 * time.Minute}
	}
}

// inDoubt reports whether it is not known what became of a command that ends now: the plugin may
// have carried it out.
func (c *Command) inDoubt() bool {
	return !treatmentOf(c.row.Kind).again && (c.lookup || c.row.State == eventlog.OutboxBegun)
}
