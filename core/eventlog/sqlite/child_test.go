package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/sqlite"
)

// When the test binary is started again with childEnv=DIR it acts as a small gateway: it opens the
// log in DIR and appends until it is killed or the log fails, and writes to stdout what it asked
// for and what was acknowledged. stdout is not buffered, so the parent reads exactly what a client
// would know.
const (
	childEnv   = "PARLEY_LOG_TEST_CHILD"
	writersEnv = "PARLEY_LOG_TEST_WRITERS"
)

// perAppend events go into each append. If only some of them are in the log, the append was written
// in part.
const perAppend = 3

func runChild(dir string) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(os.Stdout, format+"\n", args...) }
	l, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
	if err != nil {
		say("open %v", err)
		os.Exit(2)
	}
	say("ready")
	writers, err := strconv.Atoi(os.Getenv(writersEnv))
	if err != nil {
		writers = 4
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { childWriter(l, w, say) })
	}
	wg.Wait()
	<-l.Failed()
	_, err = l.Append(context.Background(), childBatch(0, 0))
	if !errors.Is(err, eventlog.ErrFatal) {
		say("after failure: %v", err)
	}
	if err := l.Close(); err != nil {
		say("close: %v", err)
	}
	os.Exit(3)
}

func childStream(w int) eventlog.StreamID { return eventlog.StreamID{1, byte(w)} }

func childBatch(w int, head uint64) *eventlog.Batch {
	b := &eventlog.Batch{Streams: []eventlog.StreamAppend{{Stream: childStream(w), Expect: head}}}
	for i := range perAppend {
		b.Streams[0].Events = append(b.Streams[0].Events, eventlog.Event{
			Type: "note/1", Head: fmt.Appendf(nil, "%d-%d", w, head+uint64(i)+1), Body: []byte("sealed"), KeyID: 1,
		})
	}
	return b
}

// childWriter appends to stream w from its present end on. An append that ended with an error is
// repeated, as a router would.
func childWriter(l *sqlite.Log, w int, say func(string, ...any)) {
	ctx := context.Background()
	recs, err := l.Read(ctx, childStream(w), 0, 0)
	if err != nil {
		say("read %v", err)
		return
	}
	head := uint64(len(recs))
	for {
		say("req %d %d", w, head+1)
		a, err := l.Append(ctx, childBatch(w, head))
		switch {
		case err == nil:
			head += perAppend
			say("ack %d %d", w, a.Streams[0].FirstSeq)
		case errors.Is(err, eventlog.ErrFull):
			say("full %d", w)
		case errors.Is(err, eventlog.ErrFatal):
			say("fatal %d", w)
			return
		default:
			say("error %d %v", w, err)
			return
		}
	}
}

// ledger is what the children acknowledged: the last sequence of each stream.
type ledger map[int]uint64

// follow reads a child's lines until the child ends or stop returns true.
func (g ledger) follow(t *testing.T, lines *bufio.Scanner, stop func(line string) bool) {
	t.Helper()
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) == 3 && f[0] == "ack":
			w, err1 := strconv.Atoi(f[1])
			seq, err2 := strconv.ParseUint(f[2], 10, 64)
			if err1 == nil && err2 == nil { // otherwise it is the last line, cut off by a kill
				g[w] = max(g[w], seq+perAppend-1)
			}
		case len(f) > 0 && (f[0] == "error" || f[0] == "open" || f[0] == "close:" || f[0] == "after" || f[0] == "read"):
			t.Fatalf("child: %s", lines.Text())
		}
		if stop != nil && stop(lines.Text()) {
			return
		}
	}
}

// check opens the log that the children left and compares it with the ledger: everything
// acknowledged must be there, nothing twice, and no append in part (PR1, PR6).
func (g ledger) check(t *testing.T, dir string) {
	t.Helper()
	l, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatalf("Open after the fault: %v", err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()
	if err := l.Verify(t.Context()); err != nil {
		t.Fatalf("Verify after the fault: %v", err)
	}
	for w, acked := range g {
		recs, err := l.Read(t.Context(), childStream(w), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		n := uint64(len(recs))
		if n < acked || n%perAppend != 0 {
			t.Fatalf("stream %d: %d events, acknowledged %d, appended %d at a time", w, n, acked, perAppend)
		}
		for i, r := range recs {
			if want := fmt.Sprintf("%d-%d", w, i+1); r.Seq != uint64(i)+1 || string(r.Head) != want {
				t.Fatalf("stream %d seq %d: got %d %q, want %q", w, i+1, r.Seq, r.Head, want)
			}
		}
	}
}

type child struct {
	*exec.Cmd
	lines *bufio.Scanner
}

// startChild starts a child, with prefix (strace and its options) before its command line, if any.
func startChild(t *testing.T, dir string, writers int, prefix ...string) child {
	t.Helper()
	args := append(append([]string{}, prefix...), os.Args[0])
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"="+dir, writersEnv+"="+strconv.Itoa(writers))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := child{Cmd: cmd, lines: bufio.NewScanner(out)}
	t.Cleanup(func() { // in case the test ended early
		if cmd.ProcessState == nil {
			if len(prefix) > 0 {
				killTraced(t, c)
			}
			_ = cmd.Process.Kill()
		}
	})
	return c
}

// strace returns strace's command line up to the traced command.
func strace(t *testing.T, output string, args ...string) []string {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: faults cannot be injected into system calls")
	}
	return append([]string{path, "-f", "-qq", "-o", output}, args...)
}

// flushes are the system calls by which SQLite makes data durable: this build
// calls fsync, others fdatasync.
const flushes = "fsync,fdatasync"

func rounds(quick, soak int) int {
	if os.Getenv("PARLEY_SOAK") != "" {
		return soak
	}
	return quick
}
