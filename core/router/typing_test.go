package router_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/plugin"
)

// typingInfo describes a store-and-forward channel that takes typing and read marks.
func typingInfo() plugin.Info {
	info := readsInfo()
	info.Typing = true
	return info
}

// withFeatures gives the world's service features.
func (w *world) withFeatures(features ...string) *world {
	w.t.Helper()
	w.service.Features = features
	svc, err := w.dir.PutService(w.t.Context(), w.service)
	must(w.t, err)
	w.service = svc
	return w
}

// told returns the typing that a port was given: "+" somebody writes, "-" no longer.
func (p *port) told() (s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.got {
		if o.Typing != nil && o.Typing.On {
			s += "+"
		} else if o.Typing != nil {
			s += "-"
		}
	}
	return s
}

// writing makes Ana a participant of a conversation on the store-and-forward channel, and returns the
// channel's plugin.
func (b *bubble) writing(info plugin.Info) (conversation.ConversationID, *port) {
	b.t.Helper()
	conv, _ := b.texting(info)
	p := newPort(info)
	b.r.PluginReady("text", "g2", p)
	return conv, p
}

// The provider of a store-and-forward channel is told of an agent's typing, at most every 3 s, and of
// its end; nothing of it is in the log or in the outbox.
func TestTypingCommands(t *testing.T) {
	newWorld(t, nil).withFeatures(directory.FeatureTyping).inBubble(t, func(t *testing.T, b *bubble) {
		conv, p := b.writing(typingInfo())
		ana := b.agents["ana"]
		if a := ingest(b.r, plugin.Inbound{Plugin: "text", Account: b.text.ID, Thread: "+1", DedupeKey: "in-2",
			Message: &plugin.InboundMessage{Address: "+1", Parts: textParts("hello?"), ProviderIDs: []string{"SM2"}}}); a.Status != plugin.Committed {
			t.Fatalf("message: %+v", a)
		}
		info, err := b.r.Info(t.Context(), conv)
		must(t, err)
		for i, s := range []struct {
			wait time.Duration
			on   bool
			want string
		}{
			{0, false, ""}, // nothing has been said of which this is the end
			{0, true, "+"},
			{time.Second, true, "+"},
			{time.Second, false, "+-"},
			{0, false, "+-"},
			{time.Second - 1, true, "+-"}, // 1 ns less than 3 s since the last one
			{1, true, "+-+"},
			{10 * time.Second, true, "+-++"},
			{0, false, "+-++-"},
		} {
			b.after(s.wait)
			b.r.Typing(ana, conv, s.on)
			synctest.Wait()
			if got := p.told(); got != s.want {
				t.Errorf("step %d: told %q, want %q", i, got, s.want)
			}
		}
		for _, o := range p.got {
			if o.Account != b.text.ID || o.Thread == "" || o.Conversation != conv || o.Typing.ProviderID != "SM2" || o.Command == [16]byte{} || !o.Deadline.IsZero() {
				t.Errorf("command: %+v, want it for the conversation's thread", o)
			}
		}
		after, err := b.r.Info(t.Context(), conv)
		must(t, err)
		if after.State.Seq != info.State.Seq {
			t.Errorf("events: %d more, want none", after.State.Seq-info.State.Seq)
		}
		if rows, err := b.log.Outbox(t.Context(), [16]byte{}, true, 0); err != nil || len(rows) != 0 {
			t.Errorf("rows of the outbox: %d, %v, want none", len(rows), err)
		}
	})
}

// What the plugin has no room for is dropped and not sent later.
func TestTypingIsDropped(t *testing.T) {
	newWorld(t, nil).withFeatures(directory.FeatureTyping).inBubble(t, func(t *testing.T, b *bubble) {
		conv, p := b.writing(typingInfo())
		behind := func(yes bool) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.full = yes
		}
		behind(true)
		b.r.Typing(b.agents["ana"], conv, true)
		synctest.Wait()
		behind(false)
		b.r.PluginRoom("text", "g2")
		b.after(time.Second)
		if got := p.told(); got != "" {
			t.Errorf("after the plugin had no room: told %q, want nothing", got)
		}
		b.after(3 * time.Second)
		b.r.PluginGone("text", "g2")
		b.r.Typing(b.agents["ana"], conv, true)
		synctest.Wait()
		p2 := newPort(typingInfo())
		b.r.PluginReady("text", "g3", p2)
		b.after(time.Second)
		if got := p2.told(); got != "" {
			t.Errorf("after the plugin was away: told %q, want nothing", got)
		}
		b.after(3 * time.Second)
		b.r.Typing(b.agents["ana"], conv, true)
		synctest.Wait()
		if got := p2.told(); got != "+" {
			t.Errorf("told %q, want that somebody writes", got)
		}
	})
}

// While the log is slow, what agents do is told as one, and the last of it is what the provider knows.
func TestTypingWhileTheLogIsSlow(t *testing.T) {
	newWorld(t, nil).withFeatures(directory.FeatureTyping).inBubble(t, func(t *testing.T, b *bubble) {
		conv, p := b.writing(typingInfo())
		b.slowReads.Store(int64(500 * time.Millisecond)) // some reads must fit into the 3 s after which the news is old
		for i := range 99 {
			b.r.Typing(b.agents["ana"], conv, i%2 == 0) // ends with "on"
		}
		synctest.Wait()
		b.r.Typing(b.agents["ana"], conv, false)
		synctest.Wait()
		if got := p.told(); got != "" {
			t.Errorf("while the log is read: told %q, want nothing yet", got)
		}
		b.after(10 * time.Second)
		if got := p.told(); got != "+-" {
			t.Errorf("told %q, want that somebody writes and then does not", got)
		}
	})
}

// Providers are told nothing of typing by those who do not take part, where the service does not show
// it, to customers who want no messages, and over plugins that do not take it.
func TestTypingIsNotTold(t *testing.T) {
	for name, c := range map[string]struct {
		features []string
		info     plugin.Info
		agent    string
		before   func(b *bubble, conv conversation.ConversationID)
	}{
		"who takes no part": {[]string{directory.FeatureTyping}, typingInfo(), "ben", nil},
		"feature is off":    {[]string{directory.FeatureRead}, typingInfo(), "ana", nil},
		"plugin takes none": {[]string{directory.FeatureTyping}, readsInfo(), "ana", nil},
		"customer opted out": {[]string{directory.FeatureTyping}, typingInfo(), "ana", func(b *bubble, conv conversation.ConversationID) {
			b.wrote(conv, string(conversation.TypeConsentChanged), `{"out":true}`, nil)
			synctest.Wait()
		}},
		"agent has left": {[]string{directory.FeatureTyping}, typingInfo(), "ana", func(b *bubble, conv conversation.ConversationID) {
			_, err := b.r.Leave(b.t.Context(), b.agents["ana"], conv, false)
			must(b.t, err)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			newWorld(t, nil).withFeatures(c.features...).inBubble(t, func(t *testing.T, b *bubble) {
				conv, p := b.writing(c.info)
				if c.before != nil {
					c.before(b, conv)
				}
				b.r.Typing(b.agents[c.agent], conv, true)
				synctest.Wait()
				if got := p.told(); got != "" {
					t.Errorf("told %q, want nothing", got)
				}
			})
		})
	}
}
