package sqlite_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// FT1: the gateway is killed at random moments under load, again and again in the same folder.
func TestKill9Loop(t *testing.T) {
	dir := t.TempDir()
	g := ledger{}
	for round := range rounds(6, 200) {
		c := startChild(t, dir, 8)
		n, stopAt := 0, 1+rand.IntN(400)
		g.follow(t, c.lines, func(string) bool {
			n++
			if n == stopAt {
				if err := c.Process.Kill(); err != nil {
					t.Error(err)
				}
			}
			return false // read on, since acknowledgements made before the kill count
		})
		_ = c.Wait() // killed
		if n < stopAt {
			t.Fatalf("round %d: the child ended by itself after %d lines", round, n)
		}
		g.check(t, dir)
	}
	if len(g) != 8 {
		t.Errorf("%d of 8 writers were ever acknowledged", len(g))
	}
}

// FT2: the gateway is killed right at a flush, at each of the flushes of a start and of a batch:
// there must be no acknowledgement of the batch before, and no half batch after.
func TestKillAtFlush(t *testing.T) {
	dir := t.TempDir()
	g := ledger{}
	struck := 0
	for i := range rounds(6, 40) {
		when := 1 + 7*i // a start has some 15 flushes; the later ones are under load
		c := startChild(t, dir, 4, strace(t, os.DevNull, "-e", "trace="+flushes,
			"-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", flushes, when))...)
		n := 0
		g.follow(t, c.lines, func(string) bool {
			n++
			if n == 5_000 { // strace counts per thread, and this thread never got so far
				killTraced(t, c)
			}
			return false
		})
		_ = c.Wait() // killed
		if n < 5_000 {
			struck++
		}
		g.check(t, dir)
	}
	if len(g) == 0 || struck < rounds(6, 40)/2 {
		t.Errorf("%d writers were acknowledged, %d kills struck at a flush: too few to prove anything", len(g), struck)
	}
}

// Every acknowledgement must follow a flush that began after its request. A kill -9 alone proves
// nothing about flushing (PR1, promises.md 4.1).
func TestAcknowledgeAfterFlush(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace")
	c := startChild(t, t.TempDir(), 1, strace(t, trace, "-e", "trace=write,"+flushes)...)
	acks := 0
	ledger{}.follow(t, c.lines, func(line string) bool {
		if strings.HasPrefix(line, "ack") {
			acks++
		}
		return acks == 30
	})
	killTraced(t, c)
	ledger{}.follow(t, c.lines, nil)
	_ = c.Wait() // killed
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	// strace writes a flush that takes longer as two lines; the second one says that the flush is
	// done.
	began := regexp.MustCompile(`^\d+ +(fsync|fdatasync)\(`)
	ended := regexp.MustCompile(`(fsync|fdatasync)(\(\d+\)| resumed>\)) += 0`)
	requested, flushing, flushed, checked := false, false, false, 0
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		if began.MatchString(line) && requested {
			flushing = true
		}
		if ended.MatchString(line) && flushing {
			flushed = true
		}
		switch {
		case strings.Contains(line, `write(1, "req`):
			requested, flushing, flushed = true, false, false
		case strings.Contains(line, `write(1, "ack`):
			if !flushed {
				t.Fatalf("acknowledged without a flush after the request: %s", line)
			}
			requested = false
			checked++
		}
	}
	if checked < 30 {
		t.Errorf("the trace shows %d acknowledgements, want at least 30", checked)
	}
}
