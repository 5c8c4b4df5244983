package ops_test

import (
	"bytes"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/gateway/ops"
)

// A message that is logged for each of a thousand webhooks writes ten lines and a count; other
// messages, and lines below Warn, are not held back (PR16).
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(ops.Quiet(slog.NewTextHandler(&out, nil))).With("node", "n")
		lines := func(part string) int { return strings.Count(out.String(), part) }
		for i := range 1000 {
			log.Warn("not durable", "account_id", i)
			log.Info("ready", "i", i)
		}
		log.Error("not durable")
		log.Warn("other")
		if n, infos := lines("level=WARN msg=\"not durable\" node=n account_id"), lines("msg=ready"); n != 10 || infos != 1000 || lines("level=ERROR") != 1 || lines("msg=other") != 1 {
			t.Errorf("1000 warnings wrote %d lines beside %d of 1000 infos, %d errors and %d others, want 10, 1000, 1, 1", n, infos, lines("level=ERROR"), lines("msg=other"))
		}
		time.Sleep(11 * time.Second)
		log.Info("there is space again")
		if n := lines("msg=\"not durable\" node=n left_out=990 within=11s"); n != 1 {
			t.Errorf("afterwards the count was written %d times, want once:\n%s", n, out.String()[max(0, out.Len()-300):])
		}
		out.Reset()
		for range 1000 { // messages of one plugin hold back only its own
			log.With("plugin", "loud").Warn("not durable xxxxxxxxxxxxxxxxxxxx")
			log.With("plugin", "loud").Warn("not durable")
		}
		if n := lines("plugin=loud"); n != 20 {
			t.Errorf("2000 warnings of a plugin wrote %d lines, want 20", n)
		}
		out.Reset()
		log.Warn("not durable")
		if n := lines("not durable"); n != 1 {
			t.Errorf("a warning in the next ten seconds wrote %d lines, want 1", n)
		}
		for i := range 5000 { // the memory is bounded, whatever the messages are
			r := slog.NewRecord(time.Now(), slog.LevelWarn, "message "+strconv.Itoa(i), 0)
			if err := log.Handler().Handle(t.Context(), r); err != nil {
				t.Error(err)
			}
		}
		if n := lines("msg=\"message "); n != 5000 {
			t.Errorf("5000 different messages wrote %d lines", n)
		}
	})
}
