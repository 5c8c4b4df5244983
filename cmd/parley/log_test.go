package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/eventlogtest"
	"github.com/parley-gateway/parley/gateway/control"
	"github.com/parley-gateway/parley/internal/stores"
)

// `parley log` leaves an entry in the audit trail of the running gateway, and says so if none is
// running (SPEC Z5).
func TestLogReadIsAudited(t *testing.T) {
	data, err := os.MkdirTemp("", "p") // a short name, because the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(data) }()
	cfg, err := config.Load("", []string{config.EnvName("data") + "=" + data})
	if err != nil {
		t.Fatal(err)
	}
	s, err := stores.Open(t.Context(), cfg, time.Now, discard())
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Log.Append(t.Context(), &eventlog.Batch{Streams: []eventlog.StreamAppend{
		{Stream: eventlogtest.ID(1), Events: []eventlog.Event{{Type: "note/1", Head: []byte(`{}`)}}},
	}})
	if err != nil {
		t.Error(err)
	}
	if err := os.MkdirAll(cfg.RunDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	ctl, err := control.Start(t.Context(), control.Options{RunDir: cfg.RunDir(), Directory: s.Directory})
	if err != nil {
		t.Fatal(err)
	}
	read := func(conversation string) (stdout, stderr string) {
		t.Helper()
		var out, words bytes.Buffer
		cmd := logCmd{configFlags: configFlags{Data: data}, Conversation: conversation}
		if err := cmd.Run(&app{ctx: t.Context(), stdout: &out, stderr: &words}); err != nil {
			t.Errorf("parley log: %v", err)
		}
		return out.String(), words.String()
	}
	const conv = "01890000-0000-7000-8000-000000000001"
	read("")
	read(conv)
	trail, err := s.Directory.Trail().List(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(trail) != 2 || trail[0].Object != "log" || trail[1].ObjectID != conv || trail[1].Object != "conversation" {
		t.Errorf("the trail is %+v, want the log and the conversation", trail)
	}
	for _, e := range trail {
		if e.Action != audit.TranscriptRead || e.Actor.Via != "cli" {
			t.Errorf("%+v, want a transcript read over the command line", e)
		}
	}
	if err := ctl.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if out, words := read(""); !strings.Contains(out, "note/1") || !strings.Contains(words, "not in the audit trail") {
		t.Errorf("without a gateway it prints %q and says %q", out, words)
	}
}
