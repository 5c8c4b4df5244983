package router_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// line is a provider that keeps the order in which it has taken texts, from whatever node. It fails
// the first attempt of each text in refuses.
type line struct {
	mu      sync.Mutex
	refuses map[string]bool
	taken   []string
}

func (l *line) take(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuses[text] {
		delete(l.refuses, text)
		return false
	}
	l.taken = append(l.taken, text)
	return true
}

// attach gives the line's plugin to a node, which lets it take texts until the test ends.
func (l *line) attach(w *world, r *router.Router, instance string) {
	got := make(chan plugin.Outbound, 100)
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	w.t.Cleanup(func() { stop(); wg.Wait() })
	r.PluginReady("text", instance, &linePort{port{info: textInfo()}, got})
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case cmd := <-got:
				if ok, err := r.Begin(ctx, w.text.ID, cmd.Command, instance); !ok {
					w.t.Errorf("begin at %s: %v", instance, err)
					continue
				}
				res := plugin.CommandResult{Outcome: conversation.StatusSent, ProviderIDs: []string{fmt.Sprintf("%x", cmd.Command)}}
				if !l.take(cmd.Send.Parts[0].Text) {
					res = plugin.CommandResult{Outcome: conversation.StatusFailed, Retryable: true}
				}
				if a := w.result(r, cmd, res); a.Status != plugin.Committed {
					w.t.Errorf("result at %s: %+v", instance, a)
				}
			}
		}
	})
}

type linePort struct {
	port
	got chan plugin.Outbound
}

func (p *linePort) Offer(o plugin.Outbound) bool { p.got <- o; return true }

// PR6: replies that an agent writes at two nodes in turn go out in the order of the conversation,
// also when the provider has one of them tried again, and although no hint passes between the nodes.
func TestRepliesAlternateNodes(t *testing.T) { repliesAlternate(t, newWorld(t, nil), nil) }

func TestRepliesAlternateNodesOverPostgres(t *testing.T) {
	logs := twoLogs(t)
	repliesAlternate(t, newWorld(t, logs[0]), logs[1])
}

func repliesAlternate(t *testing.T, w *world, second eventlog.Log) {
	a := w.startAlone("n1")
	if second != nil {
		w.log = second
	}
	b := w.startAlone("n2")
	l := &line{refuses: map[string]bool{"reply 0": true, "reply 5": true}}
	l.attach(w, a, "n1-text")
	l.attach(w, b, "n2-text")
	conv := w.textChat(a)
	must(t, b.AgentConnected(context.Background(), w.agents["ana"]))
	var want []string
	for i := range 12 {
		w.say([]*router.Router{a, b}[i%2], conv, fmt.Sprint(i))
		want = append(want, fmt.Sprint("reply ", i))
	}
	taken := func() []string {
		l.mu.Lock()
		defer l.mu.Unlock()
		return slices.Clone(l.taken)
	}
	for deadline := time.Now().Add(60 * time.Second); len(taken()) < len(want) && time.Now().Before(deadline); {
		<-time.After(5 * time.Millisecond)
	}
	if got := taken(); !slices.Equal(got, want) {
		t.Errorf("taken by the provider: %q, want %q", got, want)
	}
}
