package outbox

import (
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// maxKept bounds how many pending messages are kept in memory together with their text.
const maxKept = 10_000

// account holds the commands of one account: its lanes, which are served in turn.
type account struct {
	plugin string
	lanes  map[laneKey]*lane
	shared turn // lanes that every generation may serve
	pinned turn // lanes that are pinned to a generation
	// Of the commands in shared lanes:
	fullIn int // the round in which the plugin's window was last found full
	out    int // commands that the plugin has
	window int // how many commands the plugin had when it last refused one; 0 = not known
}

// turn is a list of lanes that are served one after the other.
type turn struct {
	lanes []*lane
	next  int // index of the lane that is served next
}

// laneKey names a lane of an account. A command waits only for commands of the same conversation
// that take the same route and are of the same kind: a text that waits for its carrier holds back
// neither a call nor a read mark, and no read mark holds back a text. Some commands have a lane of their
// own each: deferred items, since their plugin keeps the order of a thread's items, and the ends of
// tools' sessions, since each is about another session.
type laneKey struct {
	of    eventlog.StreamID // the conversation; in a lane for one command the command's id
	route string
	kind  string
}

func laneOf(row *eventlog.OutboxRow) laneKey {
	of := row.Conversation
	if of == (eventlog.StreamID{}) || row.Kind == KindToolEnd {
		of = row.CommandID
	}
	return laneKey{of, row.Route, row.Kind}
}

// lane is a queue of commands in their order.
type lane struct {
	key    laneKey
	queue  []*Command
	fullIn int // of a pinned lane: the round in which its generation last refused a command
}

// turnOf returns the turn in which a lane is served.
func (a *account) turnOf(key laneKey) *turn {
	if key.route != "" {
		return &a.pinned
	}
	return &a.shared
}

// Add takes commands into memory whose rows are committed. Those of other nodes are left to them,
// and later messages of the lane wait for them.
func (o *Outbox) Add(cmds ...*Command) {
	if len(cmds) == 0 {
		return
	}
	for _, c := range cmds {
		c.plugin = o.convs.Plugin(conversation.AccountID(c.row.Account))
	}
	o.mu.Lock()
	for _, c := range cmds {
		if c.row.Node == o.node {
			o.insert(c)
		} else {
			o.others.add(&c.row, o.reads)
		}
	}
	o.mu.Unlock()
	o.endAll()
	o.poke()
}

// AddRow takes a command into memory of which only the row is known.
func (o *Outbox) AddRow(row eventlog.OutboxRow) { o.Add(&Command{row: row}) }

// insert puts a command into its lane. It needs o.mu; the caller calls endAll afterwards.
func (o *Outbox) insert(c *Command) {
	if o.byID[c.row.CommandID] != nil {
		return
	}
	id := conversation.AccountID(c.row.Account)
	a := o.accounts[id]
	if a == nil {
		a = &account{plugin: c.plugin, lanes: map[laneKey]*lane{}}
		o.accounts[id] = a
	}
	if len(o.byID) >= maxKept || o.shared && c.row.Kind == KindSend {
		c.body = nil
	}
	o.byID[c.row.CommandID] = c
	o.others.remove(c.row.CommandID)
	c.read, c.since = o.reads, o.now()
	key := laneOf(&c.row)
	ln := a.lanes[key]
	if ln == nil {
		ln = &lane{key: key}
		a.lanes[key] = ln
		t := a.turnOf(key)
		t.lanes = append(t.lanes, ln)
	}
	at := len(ln.queue)
	for at > 0 && ln.queue[at-1].row.Seq > c.row.Seq { // only a command that was read late belongs before others
		at--
	}
	ln.queue = slices.Insert(ln.queue, at, c)
	o.endSuperseded(ln)
	if o.homeless(c, c.since) {
		o.end(c, instanceGone(c))
		return
	}
	if at := o.dueOf(c); at.Before(o.due) {
		token(o.sooner)
	}
}

// left records that a command left memory, or others, for the readings under way. It needs o.mu.
func (o *Outbox) left(command [16]byte) {
	if o.reading == 0 {
		return
	}
	if o.gone == nil {
		o.gone = map[[16]byte]struct{}{}
	}
	o.gone[command] = struct{}{}
}

// remove takes a command out of memory. It needs o.mu.
func (o *Outbox) remove(c *Command) {
	delete(o.byID, c.row.CommandID)
	o.left(c.row.CommandID)
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
	a.turnOf(ln.key).remove(ln)
	if len(a.lanes) == 0 {
		delete(o.accounts, conversation.AccountID(c.row.Account))
	}
}

func (t *turn) remove(ln *lane) {
	i := slices.Index(t.lanes, ln)
	if i < 0 {
		return
	}
	t.lanes = append(t.lanes[:i:i], t.lanes[i+1:]...)
	if i < t.next {
		t.next--
	}
}

// forget removes a command from memory that is no longer pending.
func (o *Outbox) forget(command [16]byte) {
	o.mu.Lock()
	if c := o.byID[command]; c != nil {
		o.remove(c)
	}
	o.otherEnded(command)
	o.mu.Unlock()
	o.poke()
}

// give records that a generation of the plugin has a command.
func (a *account) give(c *Command, instance string) {
	c.held, c.instance, c.given = true, instance, time.Now()
	if c.row.Route != "" {
		return
	}
	a.out++
	if a.window > 0 {
		a.window = max(a.window, a.out)
	}
}

// takeBack records that the plugin no longer has a command. Without an account (nil) nothing is
// counted.
func (a *account) takeBack(c *Command) {
	if a != nil && c.instance != "" && c.row.Route == "" {
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
