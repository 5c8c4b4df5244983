package outbox

import (
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// maxKept bounds how many pending messages are kept in memory together with their text.
const maxKept = 10_000

// account holds the commands of one account: its lanes, which are served in turn.
type account struct {
	plugin string
	lanes  map[eventlog.StreamID]*lane
	inTurn []*lane
	next   int // index in inTurn of the lane that is served next
	fullIn int // the round in which the plugin's window was last found full
	out    int // commands that the plugin has
	window int // how many commands the plugin had when it last refused one; 0 = not known
}

// lane is the queue of one conversation's commands, in their order. A deferred item has a lane of
// its own, since its plugin keeps the order of a thread's items.
type lane struct {
	key   eventlog.StreamID
	queue []*Command
}

// laneOf is the key of a row's lane.
func laneOf(row *eventlog.OutboxRow) eventlog.StreamID {
	if row.Conversation == (eventlog.StreamID{}) {
		return row.CommandID
	}
	return row.Conversation
}

// Add takes commands into memory whose rows are committed.
func (o *Outbox) Add(cmds ...*Command) {
	if len(cmds) == 0 {
		return
	}
	for _, c := range cmds {
		c.plugin = o.convs.Plugin(conversation.AccountID(c.row.Account))
	}
	o.mu.Lock()
	for _, c := range cmds {
		o.insert(c)
	}
	o.mu.Unlock()
	o.poke()
}

// AddRow takes a command into memory of which only the row is known.
func (o *Outbox) AddRow(row eventlog.OutboxRow) { o.Add(&Command{row: row}) }

// insert puts a command into its lane. It needs o.mu.
func (o *Outbox) insert(c *Command) {
	if o.byID[c.row.CommandID] != nil {
		return
	}
	id := conversation.AccountID(c.row.Account)
	a := o.accounts[id]
	if a == nil {
		a = &account{plugin: c.plugin, lanes: map[eventlog.StreamID]*lane{}}
		o.accounts[id] = a
	}
	if len(o.byID) >= maxKept {
		c.body = nil
	}
	o.byID[c.row.CommandID] = c
	c.read = o.reads
	key := laneOf(&c.row)
	ln := a.lanes[key]
	if ln == nil {
		ln = &lane{key: key}
		a.lanes[key] = ln
		a.inTurn = append(a.inTurn, ln)
	}
	at := len(ln.queue)
	for at > 0 && ln.queue[at-1].row.Seq > c.row.Seq { // only a command that was read late belongs before others
		at--
	}
	ln.queue = slices.Insert(ln.queue, at, c)
}

// remove takes a command out of memory. It needs o.mu.
func (o *Outbox) remove(c *Command) {
	delete(o.byID, c.row.CommandID)
	if o.reading > 0 {
		if o.gone == nil {
			o.gone = map[[16]byte]struct{}{}
		}
		o.gone[c.row.CommandID] = struct{}{}
	}
	a := o.accounts[conversation.AccountID(c.row.Account)]
	if a == nil {
		return
	}
	a.takeBack(c)
	ln := a.lanes[laneOf(&c.row)]
	if ln == nil {
		return
	}
	if i := slices.Index(ln.queue, c); i >= 0 {
		ln.queue = append(ln.queue[:i:i], ln.queue[i+1:]...)
	}
	if len(ln.queue) > 0 {
		return
	}
	delete(a.lanes, ln.key)
	if i := slices.Index(a.inTurn, ln); i >= 0 {
		a.inTurn = append(a.inTurn[:i:i], a.inTurn[i+1:]...)
		if i < a.next {
			a.next--
		}
	}
	if len(a.lanes) == 0 {
		delete(o.accounts, conversation.AccountID(c.row.Account))
	}
}

// forget removes a command from memory that is no longer pending.
func (o *Outbox) forget(command [16]byte) {
	o.mu.Lock()
	if c := o.byID[command]; c != nil {
		o.remove(c)
	}
	o.mu.Unlock()
	o.poke()
}

// give records that a generation of the plugin has a command.
func (a *account) give(c *Command, instance string) {
	c.held, c.instance = true, instance
	a.out++
	if a.window > 0 {
		a.window = max(a.window, a.out)
	}
}

// takeBack records that the plugin no longer has a command. Without an account (nil) nothing is
// counted.
func (a *account) takeBack(c *Command) {
	if a != nil && c.instance != "" {
		a.out--
	}
	c.held, c.instance = false, ""
}

// allowance is how many commands to make for the plugin's window: at most one more than it held
// before, to find out whether it has grown.
func (a *account) allowance() int {
	if a.window == 0 {
		return mostOfAccount
	}
	return min(mostOfAccount, max(1, a.window-a.out))
}
