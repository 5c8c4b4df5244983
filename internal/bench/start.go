package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/internal/freeport"
	"github.com/parley-gateway/parley/internal/stores"
)

// Start measures the time from starting a gateway with many open conversations until it is ready.
type Start struct {
	Conversations int    // open conversations
	Events        int    // events in each conversation
	Dir           string // data folder; "" = a temporary one
}

// Run prints the figures to w.
func (c Start) Run(ctx context.Context, w io.Writer, demo Demo) error {
	return inDir(c.Dir, func(dir string) error { return c.run(ctx, w, demo, dir) })
}

func (c Start) run(ctx context.Context, w io.Writer, demo Demo, dir string) error {
	cfg, err := config.Load("", []string{config.EnvName("data") + "=" + dir})
	if err != nil {
		return err
	}
	if err := c.fill(ctx, demo, cfg); err != nil {
		return err
	}
	var ready []time.Duration
	for range 3 {
		took, err := c.start(ctx, demo, dir)
		if err != nil {
			return err
		}
		ready = append(ready, took)
	}
	_, err = fmt.Fprintf(w, "%s\n%d open conversations of %d events: ready after %v (median of 3; process start and plugin included)\n",
		machine(), c.Conversations, c.Events, percentile(ready, 50).Round(time.Millisecond))
	return err
}

// start runs the gateway until it is ready, and stops it.
func (c Start) start(ctx context.Context, demo Demo, dir string) (took time.Duration, err error) {
	at, err := freeport.Fix(ctx, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	public, opsAddr := at[0], at[1]
	cmd := exec.Command("/proc/self/exe", "serve") //nolint:noctx // stopped in order, below
	cmd.Env = append(os.Environ(), demo.ServeEnv(dir, public, opsAddr)...)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()) }()
	url := "http://" + opsAddr.String() + "/readyz"
	for time.Since(began) < time.Minute {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return 0, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			if err := wait(ctx, 2*time.Millisecond); err != nil {
				return 0, err
			}
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return time.Since(began), nil
		}
		if err := wait(ctx, 2*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return 0, errors.New("not ready after a minute")
}

// nowhere takes the place of a plugin, and accepts no commands.
type nowhere struct{}

func (nowhere) Offer(plugin.Outbound) bool      { return false }
func (nowhere) NoticeBot(plugin.BotNotice) bool { return false }
func (nowhere) Info() plugin.Info {
	return plugin.Info{ID: "webchat", Capabilities: conversation.Capabilities{Text: true, Connected: true}}
}

// fill makes the conversations with a router in this process: over the network it would take as
// long as real customers do.
func (c Start) fill(ctx context.Context, demo Demo, cfg config.Config) (err error) {
	if err := demo.Seed(ctx, cfg); err != nil {
		return err
	}
	s, err := stores.Open(ctx, cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
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
	r.PluginReady("webchat", "fill", nowhere{})
	acc, ok := s.Directory.Snapshot().AccountByName("demo")
	if !ok {
		return errors.New("no demo account")
	}
	f := newFiller(r)
	for i := range c.Conversations {
		in := plugin.Inbound{Plugin: "webchat", Account: acc.ID, Thread: fmt.Sprintf("web:fill-%d", i)}
		start := in
		start.Action = &plugin.CustomerAction{Start: &plugin.StartAction{Body: conversation.StartedBody{Name: "Fill"}}}
		f.ingest(ctx, start)
		for range c.Events - 3 { // the start writes three: started, assigned, requested
			m := in
			m.Message = &plugin.InboundMessage{Parts: []conversation.Part{{Kind: conversation.PartText, Text: "some words of a customer"}}}
			f.ingest(ctx, m)
		}
	}
	return f.wait()
}
