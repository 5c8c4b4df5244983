package main

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/internal/bench"
)

// benchCmd has the flags of the benches. Each command is converted to the type of the bench with
// its name, so the compiler notices a flag that was forgotten.
type benchCmd struct {
	Webchat benchWebchatCmd `cmd:"" help:"Customers' messages through socket, log and router to agents' sockets."`
	SMS     benchSMSCmd     `cmd:"" name:"sms" help:"Signed texts of a carrier through webhook, plugin and router to the log."`
	Replies benchRepliesCmd `cmd:"" help:"Agents' texts through the outbox and plugin to a slow carrier."`
	Sockets benchSocketsCmd `cmd:"" help:"Memory of idle customers' sockets in open conversations."`
	Start   benchStartCmd   `cmd:"" help:"Time to ready with many open conversations."`
	Log     benchLogCmd     `cmd:"" help:"The log alone, against a bare loop that writes the same rows."`
}

type benchWebchatCmd struct {
	Pairs    int           `default:"200" help:"Customers, each with an agent of its own."`
	Rate     float64       `help:"Messages per second in all; 0 = as many as go."`
	Window   int           `default:"8" help:"Unacknowledged messages of a customer when no rate is set."`
	Size     int           `default:"100" help:"Bytes of text in a message."`
	Duration time.Duration `default:"10s" help:"Of the measurement."`
	Dir      string        `type:"path" help:"Data folder. Default: a temporary one."`
	Verbose  bool          `help:"Show the gateway's log."`
}

func (c *benchWebchatCmd) Run(a *app) error {
	return bench.Webchat(*c).Run(a.ctx, a.stdout)
}

type benchSMSCmd struct {
	Connections int           `default:"64" help:"Connections of the carrier."`
	Phones      int           `default:"1000" help:"Customers' numbers."`
	New         float64       `default:"0" help:"Share of texts that come from a number never seen before, 0 to 1."`
	Agents      int           `default:"0" help:"Agents online, who take what they are offered."`
	Hold        int           `default:"4" help:"Conversations that an agent holds at most, 1 to 100; further customers wait."`
	IDs         int           `name:"ids" default:"0" help:"External ids in the store beforehand."`
	Ended       int           `default:"0" help:"Ended conversations in the store beforehand."`
	Rate        float64       `help:"Texts per second in all; 0 = as many as go."`
	Size        int           `default:"60" help:"Characters of a text."`
	Duration    time.Duration `default:"10s" help:"Of the measurement."`
	Store       string        `help:"postgres://... instead of the embedded store."`
	Dir         string        `type:"path" help:"Data folder. Default: a temporary one."`
	Verbose     bool          `help:"Show the gateway's log."`
}

func (c *benchSMSCmd) Run(a *app) error {
	if c.Hold < 1 || c.Hold > 100 {
		return usageError{fmt.Errorf("--hold is %d, want 1 to 100", c.Hold)}
	}
	return bench.SMS(*c).Run(a.ctx, a.stdout, benchDemo())
}

type benchRepliesCmd struct {
	Agents        int           `default:"40" help:"Agents who reply."`
	Conversations int           `default:"200" help:"Customers who wrote."`
	Replies       int           `default:"10" help:"Replies to each, at once."`
	Latency       time.Duration `default:"50ms" help:"Time that the carrier takes to answer."`
	Store         string        `help:"postgres://... instead of the embedded store."`
	Dir           string        `type:"path" help:"Data folder. Default: a temporary one."`
	Verbose       bool          `help:"Show the gateway's log."`
}

func (c *benchRepliesCmd) Run(a *app) error {
	return bench.Replies(*c).Run(a.ctx, a.stdout)
}

type benchSocketsCmd struct {
	Sockets int           `default:"5000" help:"Customers, each idle in an open conversation."`
	Settle  time.Duration `default:"45s" help:"How long they idle before memory is read."`
	Dir     string        `type:"path" help:"Data folder. Default: a temporary one."`
}

func (c *benchSocketsCmd) Run(a *app) error {
	return bench.Sockets(*c).Run(a.ctx, a.stdout)
}

type benchStartCmd struct {
	Conversations int    `default:"10000" help:"Open conversations."`
	Events        int    `default:"20" help:"Events in each."`
	Dir           string `type:"path" help:"Data folder. Default: a temporary one."`
}

func (c *benchStartCmd) Run(a *app) error {
	return bench.Start(*c).Run(a.ctx, a.stdout, benchDemo())
}

type benchLogCmd struct {
	Dir      string        `type:"path" help:"Folder on the disk to measure. Default: a temporary one."`
	Store    string        `placeholder:"postgres://..." help:"Measure this PostgreSQL database in turns with SQLite. It gets a schema for the time."`
	Writers  int           `default:"512" help:"Concurrent writers."`
	Duration time.Duration `default:"8s" help:"For each side."`
}

func (c *benchLogCmd) Run(a *app) error {
	return bench.Log(*c).Run(a.ctx, a.stdout)
}

// benchDemo describes the demo to benches that fill a store before they start it. The carrier's
// values are empty, since they are known only once the demo runs.
func benchDemo() bench.Demo {
	return bench.Demo{
		Seed: func(ctx context.Context, cfg config.Config) error {
			_, err := seedDemo(ctx, cfg, twilioSelf{})
			return err
		},
		ServeEnv: demoEnv,
	}
}
