package bots_test

import (
	"slices"
	"testing"

	"github.com/parley-gateway/parley/core/bots"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

type port struct {
	got  []plugin.BotNotice
	room int
}

func (p *port) NoticeBot(n plugin.BotNotice) bool {
	if p.room == 0 {
		return false
	}
	p.room--
	p.got = append(p.got, n)
	return true
}

type reading struct {
	upTo uint64
	code string
}

func (r *reading) Finish(upTo uint64, code string) { r.upTo, r.code = upTo, code }

var (
	bot   = conversation.NewID[conversation.AccountID]()
	other = conversation.NewID[conversation.AccountID]()
)

func keeper() *bots.Keeper {
	return bots.New(func(a conversation.AccountID) string {
		switch a {
		case bot:
			return "menu"
		case other:
			return "other"
		}
		return ""
	})
}

func conv() conversation.ConversationID { return conversation.NewID[conversation.ConversationID]() }

// A17: a plugin is told of what its bots join, of everything once more when it is restarted, and of
// nobody else's conversations.
func TestNotices(t *testing.T) {
	k, a, b := keeper(), conv(), conv()
	k.Now(a, bot, 2, false) // before the plugin is there
	first, second, foreign := &port{room: -1}, &port{room: -1}, &port{room: -1}
	k.Ready("menu", "1", first)
	k.Ready("other", "1", foreign)
	k.Now(b, bot, 3, false)
	k.Now(b, bot, 7, false) // no change
	want := []plugin.BotNotice{{Account: bot, Conversation: a, Seq: 2}, {Account: bot, Conversation: b, Seq: 3}}
	if !slices.Equal(first.got, want) {
		t.Errorf("first generation was told %v, want %v", first.got, want)
	}
	k.Ready("menu", "2", second)
	k.Gone("menu", "1") // the old generation of an upgrade
	if len(second.got) != 2 || !k.Here("menu") {
		t.Errorf("second generation was told %v", second.got)
	}
	k.Now(a, conversation.AccountID{}, 9, false)
	if n := second.got[len(second.got)-1]; n != (plugin.BotNotice{Account: bot, Conversation: a, Left: true, Seq: 9}) {
		t.Errorf("after the bot left: %v", n)
	}
	if len(foreign.got) != 0 {
		t.Errorf("another plugin was told %v", foreign.got)
	}
	k.Gone("menu", "2")
	if k.Here("menu") {
		t.Error("the plugin is gone and counts as here")
	}
}

// What a full plugin was not told is told when it has room.
func TestNoticesAgain(t *testing.T) {
	k, p := keeper(), &port{room: 1}
	k.Ready("menu", "1", p)
	convs := []conversation.ConversationID{conv(), conv(), conv()}
	for i, c := range convs {
		k.Now(c, bot, uint64(i+1), false)
	}
	if len(p.got) != 1 {
		t.Fatalf("told %v with room for one", p.got)
	}
	p.got, p.room = nil, -1
	k.Room("menu", "0") // an older generation
	if len(p.got) != 0 {
		t.Errorf("another generation's room brought %v", p.got)
	}
	k.Room("menu", "1")
	k.Room("menu", "1") // nothing is owed any more
	if len(p.got) != 2 {
		t.Errorf("told %v, want the two that found no room once each", p.got)
	}
}

// A plugin that never has room for all its conversations at once is told of each of them once, and of
// none that its bot has left meanwhile.
func TestNoticesLittleRoom(t *testing.T) {
	k, p := keeper(), &port{}
	const n = 50
	var convs []conversation.ConversationID
	for i := range n {
		convs = append(convs, conv())
		k.Now(convs[i], bot, uint64(i+1), false)
	}
	k.Ready("menu", "1", p)
	k.Now(convs[0], conversation.AccountID{}, 99, true) // its joining has not been told
	k.Now(convs[1], conversation.AccountID{}, 99, false)
	k.Now(convs[1], bot, 100, false) // it left and came back
	told := map[conversation.ConversationID]uint64{}
	for range n {
		p.room = 3
		k.Room("menu", "1")
	}
	for _, g := range p.got {
		if _, twice := told[g.Conversation]; twice || g.Left {
			t.Errorf("told %v again or of a leaving that it never heard of", g)
		}
		told[g.Conversation] = g.Seq
	}
	if _, ok := told[convs[0]]; ok || len(told) != n-1 || told[convs[1]] != 100 {
		t.Errorf("told of %d conversations, want %d, of the second since 100, got %d", len(told), n-1, told[convs[1]])
	}
}

// A reading ends with the bot's part, for the bot of the conversation only.
func TestReadings(t *testing.T) {
	k, c := keeper(), conv()
	k.Now(c, bot, 2, false)
	kept, closed := &reading{}, &reading{}
	if k.Read(c, other, kept) || k.Read(conv(), bot, kept) {
		t.Error("a reading that is not the bot's was taken")
	}
	if !k.Read(c, bot, kept) || !k.Read(c, bot, closed) {
		t.Fatal("the bot's reading was refused")
	}
	k.Closed(c, closed)
	k.Now(c, other, 5, false) // another bot takes over
	if kept.upTo != 5 || kept.code != bots.CodeLeft || closed.code != "" {
		t.Errorf("kept %+v, closed %+v", kept, closed)
	}
	last := &reading{}
	k.Read(c, other, last)
	k.Now(c, conversation.AccountID{}, 8, true)
	if last.upTo != 8 || last.code != bots.CodeEnded {
		t.Errorf("at the end: %+v", last)
	}
	if k.Takes(c, other) {
		t.Error("a bot takes part in an ended conversation")
	}
}
