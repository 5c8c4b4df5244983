package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/eventlogtest"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
)

// plainKeys is a vault that seals nothing, for tests of what is printed.
type plainKeys struct{}

func (plainKeys) Open(_ int64, _, sealed []byte) ([]byte, error) { return sealed, nil }

// Every released type of event, of conversations and agents, is printed as one line with its head as it
// is; with --heads nothing of its body is in the line.
func TestLogPrintsEveryType(t *testing.T) {
	var files []string
	for _, room := range []string{"conversation", "acd"} {
		found, err := filepath.Glob(filepath.Join("..", "..", "core", room, "testdata", "events", "*.json"))
		if err != nil || len(found) < 5 {
			t.Fatalf("events of %s: %v, %v", room, found, err)
		}
		files = append(files, found...)
	}
	l := memlog.New()
	defer func() { _ = l.Close() }()
	var goldens []logLine
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var g logLine
		if err := json.Unmarshal(text, &g); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		goldens = append(goldens, g)
		ev := eventlog.Event{Type: g.Type, At: g.At, Head: g.Head, Body: g.Body}
		if g.Body != nil {
			ev.KeyID = 1
		}
		_, err = l.Append(t.Context(), &eventlog.Batch{Streams: []eventlog.StreamAppend{{Stream: eventlogtest.ID(1), Expect: eventlog.ExpectAny, Events: []eventlog.Event{ev}}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	show := func(p logPrinter) [][]byte {
		t.Helper()
		var out bytes.Buffer
		p.log, p.out = l, bufio.NewWriter(&out)
		if err := p.all(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.out.Flush(); err != nil {
			t.Fatal(err)
		}
		lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
		if len(lines) != len(goldens) {
			t.Fatalf("%d lines, want one for each of %d events", len(lines), len(goldens))
		}
		return lines
	}
	heads, whole := show(logPrinter{}), show(logPrinter{keys: plainKeys{}})
	seen := map[conversation.Type]bool{}
	for i, want := range goldens {
		seen[conversation.Type(want.Type)] = true
		for _, line := range [][]byte{heads[i], whole[i]} {
			var got logLine
			if err := json.Unmarshal(line, &got); err != nil || got.Type != want.Type || !sameJSON(got.Head, want.Head) || !got.At.Equal(want.At) || got.At.Location() != time.UTC {
				t.Errorf("%s is printed as %s (%v)", want.Type, line, err)
			}
		}
		var full logLine
		if err := json.Unmarshal(whole[i], &full); err != nil || !sameJSON(full.Body, want.Body) {
			t.Errorf("body of %s is printed as %s", want.Type, whole[i])
		}
		for _, text := range texts(t, want.Body) {
			if bytes.Contains(heads[i], []byte(text)) {
				t.Errorf("%s with --heads quotes %q: %s", want.Type, text, heads[i])
			}
		}
	}
	for _, typ := range conversation.Types() {
		if !seen[typ] {
			t.Errorf("%s is not among what was printed", typ)
		}
	}
}

// texts returns the strings in a body that people have written; short ones are codes and kinds, and ids
// stand in heads too.
func texts(t *testing.T, body json.RawMessage) (out []string) {
	t.Helper()
	if body == nil {
		return nil
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			if _, err := conversation.ParseID[conversation.BlobID](v); err != nil && len(v) > 6 {
				out = append(out, v)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(v)
	return out
}
