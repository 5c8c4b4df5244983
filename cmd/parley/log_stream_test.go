package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/eventlogtest"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
)

// oneStream is a log that fails the test when another stream than one is read.
type oneStream struct {
	*memlog.Log
	t    *testing.T
	only eventlog.StreamID
}

func (l *oneStream) Read(ctx context.Context, s eventlog.StreamID, after uint64, limit int) ([]eventlog.Record, error) {
	if s != l.only || limit == 0 {
		l.t.Errorf("read of stream %x with limit %d, want pages of %x", s, limit, l.only)
	}
	return l.Log.Read(ctx, s, after, limit)
}

func (l *oneStream) Tail(context.Context, int64, int) ([]eventlog.Record, error) {
	l.t.Error("the whole log is read")
	return nil, errors.New("no")
}

func (l *oneStream) add(n int, stream eventlog.StreamID) {
	l.t.Helper()
	for range n {
		_, err := l.Append(l.t.Context(), &eventlog.Batch{Streams: []eventlog.StreamAppend{
			{Stream: stream, Expect: eventlog.ExpectAny, Events: []eventlog.Event{{Type: "note/1", Head: []byte(`{}`)}}}}})
		if err != nil {
			l.t.Fatal(err)
		}
	}
}

// The log of one conversation is printed without reading the others, from a position on, and
// followed.
func TestLogOfOneConversation(t *testing.T) {
	l := &oneStream{Log: memlog.New(), t: t, only: eventlogtest.ID(1)}
	defer func() { _ = l.Close() }()
	for range 3 {
		l.add(2, eventlogtest.ID(1))
		l.add(3, eventlogtest.ID(2))
	}
	show := func(ctx context.Context, since int64, follow bool) (string, error) {
		var out bytes.Buffer
		p := logPrinter{log: l, out: bufio.NewWriter(&out), since: since, follow: follow}
		err := p.stream(ctx, l.only)
		_ = p.out.Flush()
		return out.String(), err
	}
	for since, want := range map[int64]int{0: 6, 2: 4, 11: 1, 99: 0} {
		if got, err := show(t.Context(), since, false); err != nil || strings.Count(got, "\n") != want {
			t.Errorf("since %d: %v and\n%swant %d events", since, err, got, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seen := make(chan string, 100)
	p := logPrinter{log: l, out: bufio.NewWriter(lineWriter(func(s string) {
		for line := range strings.Lines(s) {
			seen <- line
		}
	})), follow: true}
	ended := make(chan error, 1)
	go func() { ended <- p.stream(ctx, l.only) }()
	for n := 1; n <= 8; n++ {
		if n == 7 {
			l.add(1, eventlogtest.ID(2))
			l.add(2, eventlogtest.ID(1))
		}
		select {
		case line := <-seen:
			if !strings.Contains(line, fmt.Sprintf(`"seq":%d,`, n)) {
				t.Errorf("line %d is %s", n, line)
			}
		case <-ctx.Done():
			t.Fatalf("event %d was not printed", n)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("follow ended with %v", err)
	}
}

type lineWriter func(string)

func (w lineWriter) Write(p []byte) (int, error) {
	w(string(p))
	return len(p), nil
}
