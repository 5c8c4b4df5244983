package system_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// DESIGN.md 9: the keys of a folder are moved into a database. What was said before can be read, and a
// phone that had an exchange goes on in it. Then the database goes away: the exchange goes on, new
// ones begin until the spare keys are used up and are answered 503 after that, readiness says why,
// and all works by itself when it is back. Nothing acknowledged is lost.
func TestKeysMovedAndAway(t *testing.T) {
	const known = "+12125550001"
	data := t.TempDir()
	d := startDemo(t, data)
	if status, err := d.carrier().Text(t.Context(), sid(1), known, "before the move"); err != nil || status != 200 {
		t.Fatalf("text: %d, %v", status, err)
	}
	d.stop()
	c := postgres(t)
	env := []string{"PARLEY_VAULT__STORE=" + c.DSN(c.Database(t))}
	moved := &demo{t: t, data: data, env: env}
	if out := string(moved.parley("keys", "move")); !strings.Contains(out, "compared and opened") {
		t.Errorf("keys move: %s", out)
	}
	d = startDemoWith(t, data, env)
	phone := d.carrier()
	if status, err := phone.Text(t.Context(), sid(2), known, "after the move"); err != nil || status != 200 {
		t.Fatalf("text: %d, %v", status, err)
	}
	texts := d.texts()
	if before, after := texts["before the move"], texts["after the move"]; len(before) != 1 || len(after) != 1 || before[0] != after[0] {
		t.Errorf("texts before and after the move are in %v and %v, want one exchange", before, after)
	}

	if err := c.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "readiness without the key database", 30*time.Second, func() bool {
		status, text := d.readiness()
		return status == http.StatusServiceUnavailable && strings.Contains(text, "key database is not available")
	})
	begun := map[string]bool{}
	refused := 0
	for n := 0; refused == 0; n++ {
		if n > 1000 {
			t.Fatal("a thousand new exchanges began without a key database")
		}
		text := fmt.Sprint("stranger ", n)
		switch status, err := phone.Text(t.Context(), sid(100+n), fmt.Sprintf("+1212556%04d", n), text); {
		case err != nil:
			t.Fatal(err)
		case status == 200:
			begun[text] = true
		case status == 503:
			refused = n
		default:
			t.Fatalf("a new exchange without a key database: %d, want 200 or 503", status)
		}
	}
	if status, err := phone.Text(t.Context(), sid(3), known, "while it is away"); err != nil || status != 200 {
		t.Errorf("a text in a known exchange: %d, %v", status, err)
	}
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	last := fmt.Sprint("stranger ", refused)
	eventually(t, "repeat of the refused text that is taken", 30*time.Second, func() bool {
		status, err := phone.Text(t.Context(), sid(100+refused), fmt.Sprintf("+1212556%04d", refused), last)
		return err == nil && status == 200
	})
	begun[last], begun["while it is away"] = true, true
	eventually(t, "readiness that is back", 30*time.Second, d.ready)
	texts = d.texts()
	for text := range begun {
		if len(texts[text]) != 1 {
			t.Errorf("%q is in the log %d times, want once", text, len(texts[text]))
		}
	}
	t.Logf("%d new exchanges without a key database, then 503", refused)
}
