package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/internal/stores"
)

// smsNowhere takes the place of the SMS plugin while a store is filled, and accepts no commands.
type smsNowhere struct{ nowhere }

func (smsNowhere) NoticeBot(plugin.BotNotice) bool { return false }
func (smsNowhere) Info() plugin.Info {
	return plugin.Info{ID: "sms", Capabilities: conversation.Capabilities{Text: true, OutboundFirst: true, OfferTitle: "SMS", AddressKind: "phone"}}
}

// fill gives the store the contents that a busy line has after some time.
func (c SMS) fill(ctx context.Context, demo Demo, dir string) (err error) {
	cfg, err := config.Load("", append([]string{config.EnvName("data") + "=" + dir}, storeEnv(c.Store)...))
	if err != nil {
		return err
	}
	if err := demo.Seed(ctx, cfg); err != nil {
		return err
	}
	s, err := stores.Open(ctx, cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	acc, ok := accountOf(s.Directory, "sms")
	if !ok {
		return errors.New("the demo has no SMS account")
	}
	if err := fillIDs(ctx, s.Log, acc, c.IDs); err != nil {
		return err
	}
	return fillEnded(ctx, s, acc, c.Ended)
}

func accountOf(d *directory.Directory, plugin string) (conversation.AccountID, bool) {
	for _, acc := range d.Snapshot().Accounts() {
		if acc.Plugin == plugin && !acc.Service.IsZero() {
			return acc.ID, true
		}
	}
	return conversation.AccountID{}, false
}

// fillIDs stores n external ids of the account. A stored id is an HMAC, which a database cannot
// tell from random bytes.
func fillIDs(ctx context.Context, log eventlog.Log, acc conversation.AccountID, n int) error {
	const batch = 20_000
	stream := eventlog.StreamID(acc)
	for n > 0 {
		k := min(n, batch)
		n -= k
		b := eventlog.Batch{External: make([]eventlog.ExternalID, k)}
		for i := range b.External {
			x := &b.External[i]
			x.Account, x.Stream, x.Index, x.Seq = stream, stream, -1, 1
			if _, err := rand.Read(x.Key[:]); err != nil {
				return err
			}
		}
		if _, err := log.Append(ctx, &b); err != nil {
			return err
		}
	}
	return nil
}

// fillEnded makes n ended conversations, in each of which the customer writes once and ends it.
func fillEnded(ctx context.Context, s *stores.Stores, acc conversation.AccountID, n int) (err error) {
	if n == 0 {
		return nil
	}
	b := bus.NewLocal()
	defer func() { err = errors.Join(err, b.Close()) }()
	r, err := router.New(router.Options{Node: "fill", Log: s.Log, Vault: s.Vault, Directory: s.Directory, Bus: b, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if err := r.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Stop(context.WithoutCancel(ctx))) }()
	r.PluginReady("sms", "fill", smsNowhere{})
	f := newFiller(r)
	for i := range n {
		in := plugin.Inbound{Plugin: "sms", Account: acc, Thread: fmt.Sprintf("+1646%07d", i), DedupeKey: fmt.Sprintf("fill-%d", i)}
		m := in
		m.Message = &plugin.InboundMessage{Address: in.Thread, Parts: []conversation.Part{{Kind: conversation.PartText, Text: "some words of a customer"}}}
		f.ingest(ctx, m)
		in.DedupeKey += "-end"
		in.Action = &plugin.CustomerAction{End: true}
		f.ingest(ctx, in)
	}
	return f.wait()
}

// filler passes events to a router, many at the same time.
type filler struct {
	r     *router.Router
	slots chan struct{}
	wg    sync.WaitGroup

	mu  sync.Mutex
	err error
}

func newFiller(r *router.Router) *filler {
	return &filler{r: r, slots: make(chan struct{}, 2000)}
}

func (f *filler) ingest(ctx context.Context, in plugin.Inbound) {
	f.wg.Add(1)
	f.slots <- struct{}{}
	f.r.Ingest(ctx, in, func(a plugin.Ack) {
		if a.Status != plugin.Committed {
			f.mu.Lock()
			f.err = fmt.Errorf("event not taken: %s", a.Code)
			f.mu.Unlock()
		}
		<-f.slots
		f.wg.Done()
	})
}

// wait returns when every event is stored, or with an error if one was refused.
func (f *filler) wait() error {
	f.wg.Wait()
	return f.err
}
