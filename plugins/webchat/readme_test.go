package webchat_test

import (
	"bufio"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// blocks returns the README's fenced blocks of the given kind.
func blocks(t *testing.T, kind string) []string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?s)```"+kind+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		out = append(out, m[1])
	}
	if len(out) == 0 {
		t.Fatalf("the README has no %q block", kind)
	}
	return out
}

func TestReadmeSettings(t *testing.T) {
	for _, settings := range blocks(t, "json settings") {
		newWorld(t, settings)
	}
}

// TestReadmeTranscript replays the transcript: it sends what the client sends, and expects what the
// server sends, in any order between two sends.
func TestReadmeTranscript(t *testing.T) {
	for _, transcript := range blocks(t, "transcript") {
		w := newWorld(t, "")
		c, _, err := w.dial("")
		if err != nil {
			t.Fatal(err)
		}
		var want []any
		settle := func() {
			for len(want) > 0 {
				got := c.raw1()
				i := matching(want, got)
				if i < 0 {
					text, _ := json.Marshal(got)
					t.Fatalf("the server sent %s, which the README does not have at this place; it has %v", text, want)
				}
				want = append(want[:i], want[i+1:]...)
			}
		}
		lines := bufio.NewScanner(strings.NewReader(transcript))
		for lines.Scan() {
			side, text, _ := strings.Cut(lines.Text(), " ")
			if side == ">" {
				settle()
				if err := c.raw([]byte(text)); err != nil {
					t.Fatalf("send %s: %v", text, err)
				}
				continue
			}
			var v any
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				t.Fatalf("line %s: %v", text, err)
			}
			want = append(want, v)
		}
		settle()
	}
}

// raw1 returns the next frame as decoded JSON.
func (c *client) raw1() any {
	c.t.Helper()
	_, text, err := c.conn.Read(c.t.Context())
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		c.t.Fatal(err)
	}
	return v
}

func matching(want []any, got any) int {
	for i, w := range want {
		if cmp.Equal(w, elide(w, got)) {
			return i
		}
	}
	return -1
}

// elide replaces those values of got by an ellipsis for which want has one.
func elide(want, got any) any {
	if want == "…" {
		return want
	}
	w, ok1 := want.(map[string]any)
	g, ok2 := got.(map[string]any)
	if !ok1 || !ok2 {
		return got
	}
	out := map[string]any{}
	for k, v := range g {
		out[k] = elide(w[k], v)
	}
	return out
}
