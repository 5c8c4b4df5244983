package acd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
)

// update writes the golden files that are missing, and the folded state. An existing golden file is
// a released version and is never rewritten.
var update = flag.Bool("update", false, "write missing goldens")

type golden struct {
	Seq  uint64            `json:"seq"`
	At   time.Time         `json:"at"`
	Type conversation.Type `json:"type"`
	Head json.RawMessage   `json:"head"`
}

func goldenFile(t conversation.Type) string {
	return filepath.Join("testdata", "events", strings.ReplaceAll(string(t), "/", "@")+".json")
}

// story is one event of each type with every field set, in an order that
// folds. New types and versions go to its end.
func story() []conversation.Head {
	return []conversation.Head{
		&acd.LoggedIn{}, &acd.Ready{},
		&acd.Offered{
			Offer: offer(1), Conversation: conv(1), Request: request(1), Medium: "chat", Share: 25, Invite: true, ExpiresAt: t0.Add(time.Minute),
		},
		&acd.OfferEnded{Offer: offer(1), Conversation: conv(1), Invite: true, Cause: conversation.CauseAccepted},
		&acd.Engaged{Conversation: conv(1), Medium: "chat", Share: 25},
		&acd.PendingNotReady{Reason: acd.ReasonRejected},
		&acd.PendingCleared{},
		&acd.Disconnected{GraceUntil: t0.Add(time.Hour)},
		&acd.Connected{},
		&acd.WrapupStarted{Conversation: conv(1), Until: t0.Add(time.Hour)},
		&acd.NotReady{Reason: "break", Also: []acd.Reason{acd.ReasonExpired}},
		&acd.Released{Conversation: conv(2), Cause: conversation.CauseFinished},
		&acd.LoggedOut{Cause: conversation.CauseLogout},
		&acd.LeftNode{Node: "n1", Ignorable: true},
		&acd.SupervisionStarted{Conversation: conv(1), Ignorable: true},
		&acd.SupervisionEnded{Conversation: conv(2), Ignorable: true},
	}
}

func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// TestGoldens: every released type has a golden file that decodes strictly and encodes to the same
// bytes, and all of them together fold to the golden row.
func TestGoldens(t *testing.T) {
	if *update {
		writeGoldens(t)
	}
	files, err := filepath.Glob("testdata/events/*.json")
	if err != nil {
		t.Fatal(err)
	}
	goldens := make([]golden, len(files))
	seen := map[conversation.Type]bool{}
	for i, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := strict(b, &goldens[i]); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		seen[goldens[i].Type] = true
	}
	for _, typ := range acd.Types() {
		if !seen[typ] {
			t.Errorf("no golden of %s: run go test -update", typ)
		}
	}
	slices.SortFunc(goldens, func(a, b golden) int { return int(a.Seq) - int(b.Seq) })
	a := &acd.AgentState{ID: agent(1)}
	for _, g := range goldens {
		head, err := acd.DecodeHead(g.Type, g.Head)
		if err != nil {
			t.Fatalf("%s: %v", g.Type, err)
		}
		if err := strict(g.Head, head); err != nil {
			t.Errorf("%s: the head lost a field: %v", g.Type, err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, g.Head); err != nil {
			t.Fatal(err)
		}
		ev := conversation.Event{Seq: g.Seq, At: g.At, Head: head}
		if again, err := conversation.Encode(ev); err != nil || string(again) != compact.String() {
			t.Errorf("%s encodes as %s, %v; want %s", g.Type, again, err, compact.String())
		}
		if err := a.Apply(ev); err != nil {
			t.Fatalf("Apply(%s): %v", g.Type, err)
		}
	}
	compareRow(t, a)
}

func compareRow(t *testing.T, a *acd.AgentState) {
	t.Helper()
	got, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const file = "testdata/state.json"
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.TrimSpace(string(want)), string(got)); d != "" {
		t.Errorf("row folded from the goldens (-want +got):\n%s", d)
	}
}

func writeGoldens(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll("testdata/events", 0o750); err != nil {
		t.Fatal(err)
	}
	for i, h := range story() {
		file := goldenFile(h.Type())
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			continue
		}
		head, err := conversation.Encode(conversation.Event{Head: h})
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.MarshalIndent(golden{
			Seq: uint64(i + 1), At: t0.Add(time.Duration(i) * time.Second), Type: h.Type(), Head: head,
		}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(b, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzDecodeHead: decoding and folding must not panic, whatever bytes a store returns.
func FuzzDecodeHead(f *testing.F) {
	for _, h := range story() {
		head, err := conversation.Encode(conversation.Event{Head: h})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(h.Type()), head)
	}
	f.Fuzz(func(t *testing.T, typ string, head []byte) {
		h, err := acd.DecodeHead(conversation.Type(typ), head)
		if err != nil {
			return
		}
		a := &acd.AgentState{}
		if err := a.Apply(conversation.Event{Seq: 1, At: t0, Head: h}); err != nil {
			t.Fatalf("Apply(%s %s): %v", typ, head, err)
		}
		for _, cmd := range []acd.Command{acd.Tick{}, acd.Login{}, acd.BeNotReady{}, acd.Logout{}} {
			if _, err := acd.Decide(a, cmd, t0); err != nil && acd.Code(err) == "" {
				t.Fatalf("Decide(%T) after %s %s: %v", cmd, typ, head, err)
			}
		}
	})
}
