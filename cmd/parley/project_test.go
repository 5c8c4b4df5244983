package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/eventlogtest"
	"github.com/parley-gateway/parley/core/project"
	"github.com/parley-gateway/parley/gateway/control"
	"github.com/parley-gateway/parley/internal/stores"
)

// The projections are shown and made anew with a running gateway and without one.
func TestProjectCommands(t *testing.T) {
	data, err := os.MkdirTemp("", "p") // a short name, because the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(data) }()
	cfg, err := config.Load("", []string{config.EnvName("data") + "=" + data})
	if err != nil {
		t.Fatal(err)
	}
	say := func(run func(*app) error) string {
		t.Helper()
		var out bytes.Buffer
		if err := run(&app{ctx: t.Context(), stdout: &out, stderr: &out}); err != nil {
			return err.Error()
		}
		return out.String()
	}
	flags := configFlags{Data: data}
	status := func() string { t.Helper(); return say((&projectStatusCmd{configFlags: flags}).Run) }
	if s := status(); !strings.Contains(s, "no tables yet") {
		t.Errorf("in a new folder status says %q", s)
	}
	if _, err := os.Stat(cfg.Database()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the question made a database: %v", err)
	}
	if first, err := stores.Open(t.Context(), cfg, nil, discard()); err != nil || first.Close() != nil {
		t.Fatal(err)
	}
	if s := status(); !strings.Contains(s, "intervals") {
		t.Errorf("before the first start status says %q", s)
	}
	if s := say((&projectShowCmd{configFlags: flags, Last: time.Hour}).Run); !strings.Contains(s, "not been made yet") {
		t.Errorf("before the first start show says %q", s)
	}
	s, err := stores.Open(t.Context(), cfg, nil, discard())
	if err != nil {
		t.Fatal(err)
	}
	head, err := conversation.Encode(conversation.Event{Head: &conversation.MessagePosted{Author: conversation.Author{Kind: conversation.Customer}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Log.Append(t.Context(), &eventlog.Batch{Streams: []eventlog.StreamAppend{
		{Stream: eventlogtest.ID(1), Events: []eventlog.Event{{Type: string(conversation.TypeMessage), At: time.Now(), Head: head}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := project.New(project.Options{Node: "a", Log: s.Log, Database: s.Directory.Database(), Projections: projectionCatalogue()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	if err := os.MkdirAll(cfg.RunDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	ctl, err := control.Start(t.Context(), control.Options{RunDir: cfg.RunDir(), Directory: s.Directory, Projections: projections{f, s.Directory.Database()}})
	if err != nil {
		t.Fatal(err)
	}
	current := func(what string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			if fields := strings.Fields(status()); len(fields) == 11 && fields[7] == "1" && fields[8] == "1" && fields[9] == "0" {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: status says\n%s", what, status())
			}
		}
	}
	show := func() string {
		t.Helper()
		return say((&projectShowCmd{configFlags: flags, Name: "intervals", Last: time.Hour}).Run)
	}
	current("beside a gateway")
	before := show()
	if strings.Count(before, `"from_customer":1`) != 1 {
		t.Errorf("show says %q, want one message of a customer", before)
	}
	if out := say((&projectRebuildCmd{configFlags: flags, Name: "intervals"}).Run); !strings.Contains(out, "made anew") {
		t.Errorf("rebuild says %q", out)
	}
	current("made anew")
	if after := show(); after != before {
		t.Errorf("after a rebuild show says %q, before %q", after, before)
	}
	if out := say((&projectRebuildCmd{configFlags: flags, Name: "nothing"}).Run); !strings.Contains(out, "no such projection") {
		t.Errorf("rebuild of an unknown projection says %q", out)
	}
	if err := ctl.Close(); err != nil {
		t.Error(err)
	}
	cancel()
	<-done
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if after := show(); after != before {
		t.Errorf("without a gateway show says %q, with one %q", after, before)
	}
	if out := say((&projectRebuildCmd{configFlags: flags, Name: "intervals"}).Run); !strings.Contains(out, "made anew") {
		t.Errorf("without a gateway rebuild says %q", out)
	}
	if out := show(); out != "" {
		t.Errorf("the tables hold %q although nobody has filled them again", out)
	}
}
