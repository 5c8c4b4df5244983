package bots

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// Port is a generation of a plugin that takes notices.
type Port interface {
	// NoticeBot passes a notice on. It never blocks; false: the notice was dropped.
	NoticeBot(n plugin.BotNotice) bool
}

// Reading is a bot's subscription to one conversation.
type Reading interface {
	// Finish ends the subscription with a code once it has delivered everything up to a sequence. It
	// never blocks.
	Finish(upTo uint64, code string)
}

// Codes with which a bot's reading ends.
const (
	CodeLeft  = "left"  // the bot takes part no longer
	CodeEnded = "ended" // the conversation is over
)

// Keeper knows in which conversations of this node bots take part. Safe for concurrent use.
type Keeper struct {
	pluginOf func(conversation.AccountID) string // "" when the account no longer exists
	notices  *prometheus.CounterVec
	taking   prometheus.GaugeFunc

	mu      sync.Mutex
	plugins map[string]*generation
	convs   map[conversation.ConversationID]*part
}

// generation is the newest generation of a plugin.
type generation struct {
	instance string
	port     Port
	owed     map[owedKey]plugin.BotNotice // found no room; told when there is room
}

// owedKey names what a notice is about: of several notices about it the last one counts.
type owedKey struct {
	conv conversation.ConversationID
	bot  conversation.AccountID
}

// part is a bot's part in a conversation.
type part struct {
	bot      conversation.AccountID
	seq      uint64 // of the event by which it joined; 0: not known
	readings []Reading
}

// New makes a Keeper. pluginOf returns the plugin of an account, "" when there is none.
func New(pluginOf func(conversation.AccountID) string) *Keeper {
	k := &Keeper{pluginOf: pluginOf, plugins: map[string]*generation{}, convs: map[conversation.ConversationID]*part{}}
	k.notices = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "parley_bot_notices_total", Help: "Notices to bots' plugins about conversations, by outcome: sent, later (the plugin had no room and is told when it has), or dropped (the plugin was away and is told of all its conversations when it is back)."}, []string{"outcome"})
	k.taking = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "parley_bot_conversations", Help: "Open conversations of this node in which a bot takes part."}, func() float64 {
		k.mu.Lock()
		defer k.mu.Unlock()
		return float64(len(k.convs))
	})
	return k
}

// Collectors are the metrics of a Keeper.
func (k *Keeper) Collectors() []prometheus.Collector {
	return []prometheus.Collector{k.notices, k.taking}
}

// Ready registers a generation of a plugin, and tells it of all conversations of its bots.
func (k *Keeper) Ready(id, instance string, port Port) {
	k.mu.Lock()
	defer k.mu.Unlock()
	g := &generation{instance: instance, port: port, owed: map[owedKey]plugin.BotNotice{}}
	k.plugins[id] = g
	for conv, p := range k.convs {
		if k.pluginOf(p.bot) == id {
			k.tell(plugin.BotNotice{Account: p.bot, Conversation: conv, Seq: p.seq})
		}
	}
}

// Gone takes a generation out, unless a newer one has taken its place.
func (k *Keeper) Gone(id, instance string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if g := k.plugins[id]; g != nil && g.instance == instance {
		delete(k.plugins, id)
	}
}

// Room says that a plugin may have room again.
func (k *Keeper) Room(id, instance string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	g := k.plugins[id]
	if g == nil || g.instance != instance {
		return
	}
	for key, n := range g.owed {
		if !g.port.NoticeBot(n) {
			return
		}
		k.notices.WithLabelValues("sent").Inc()
		delete(g.owed, key)
	}
}

// Here reports whether a plugin has a generation that takes notices.
func (k *Keeper) Here(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.plugins[id] != nil
}

// tell needs k.mu. While notices are owed, further ones wait with them, so that the last one about a
// conversation is told last.
func (k *Keeper) tell(n plugin.BotNotice) {
	g := k.plugins[k.pluginOf(n.Account)]
	if g == nil {
		k.notices.WithLabelValues("dropped").Inc()
		return
	}
	key := owedKey{n.Conversation, n.Account}
	if was, ok := g.owed[key]; ok && !was.Left && n.Left {
		delete(g.owed, key) // the plugin has not heard that the bot had joined
		return
	}
	if len(g.owed) == 0 && g.port.NoticeBot(n) {
		k.notices.WithLabelValues("sent").Inc()
		return
	}
	g.owed[key] = n
	k.notices.WithLabelValues("later").Inc()
}

// Now says which bot takes part in a conversation: since the event seq another one than before, or
// none any more (zero bot). It is called before events after seq are shown to readers.
func (k *Keeper) Now(conv conversation.ConversationID, bot conversation.AccountID, seq uint64, over bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.convs[conv]
	if p == nil && bot.IsZero() || p != nil && p.bot == bot {
		return
	}
	if p != nil {
		delete(k.convs, conv)
		code := CodeLeft
		if over {
			code = CodeEnded
		}
		for _, r := range p.readings {
			r.Finish(seq, code)
		}
		k.tell(plugin.BotNotice{Account: p.bot, Conversation: conv, Left: true, Seq: seq})
	}
	if !bot.IsZero() {
		k.convs[conv] = &part{bot: bot, seq: seq}
		k.tell(plugin.BotNotice{Account: bot, Conversation: conv, Seq: seq})
	}
}

// Takes reports whether an account is the bot of a conversation.
func (k *Keeper) Takes(conv conversation.ConversationID, bot conversation.AccountID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.convs[conv]
	return p != nil && p.bot == bot
}

// Read registers a bot's reading, so that it ends when the bot leaves. False: the account is not the
// conversation's bot.
func (k *Keeper) Read(conv conversation.ConversationID, bot conversation.AccountID, r Reading) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.convs[conv]
	if p == nil || p.bot != bot {
		return false
	}
	p.readings = append(p.readings, r)
	return true
}

// Closed takes a reading out that its plugin has closed.
func (k *Keeper) Closed(conv conversation.ConversationID, r Reading) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.convs[conv]
	if p == nil {
		return
	}
	kept := p.readings[:0]
	for _, x := range p.readings {
		if x != r {
			kept = append(kept, x)
		}
	}
	clear(p.readings[len(kept):])
	p.readings = kept
}
