package conversation_test

import (
	"os"
	"slices"
	"testing"

	. "github.com/parley-gateway/parley/core/conversation"
)

// TestTypes walks the table of event types: each has a golden file, its constructor makes a head of
// exactly that type, and its audience is one of the five that types have.
func TestTypes(t *testing.T) {
	quiet := []Type{ // types whose events leave the row unchanged
		TypeMessage, TypeMessageStatus, TypeMessageSettled, TypeReceipt, TypePageVisited, TypeCustomerUpdated,
		TypeSessionPanel, TypeNote, TypeContentRewritten, TypeSessionCustomerPanel, TypeSessionNoted, TypeSessionDigits, TypeSessionRecorded,
		TypeSessionCommand, TypeSessionCommandFailed, TypeMessageNamed, TypeWindowChanged,
	}
	for _, typ := range Types() {
		if _, err := os.Stat(goldenFile(typ)); err != nil {
			t.Errorf("%s has no golden: %v", typ, err)
		}
		h, err := DecodeHead(typ, []byte("{}"))
		if err != nil {
			t.Errorf("DecodeHead(%s): %v", typ, err)
			continue
		}
		if h.Type() != typ {
			t.Errorf("DecodeHead(%s) gives a %T, whose type is %s", typ, h, h.Type())
		}
		if a := h.Audience(); a < AudienceCustomer || a > AudienceAudit {
			t.Errorf("%s is for audience %d, which there is not", typ, a)
		}
		if got, want := WritesRow(typ), !slices.Contains(quiet, typ); got != want {
			t.Errorf("WritesRow(%s) = %t, want %t", typ, got, want)
		}
		ConcernsAgents(h) // must not panic: the condition expects a head of this type
	}
	if !WritesRow("future/1") {
		t.Error("a type that is not known leaves the row as it is")
	}
	for _, ev := range story() {
		if !slices.Contains(Types(), ev.Head.Type()) {
			t.Errorf("%s is in the story but not in the table", ev.Head.Type())
		}
	}
}

// TestCustomersSee: the types that a customer may see are these and no others.
func TestCustomersSee(t *testing.T) {
	want := []Type{
		TypeEnded, TypeStarted, TypeInactivityOff, TypeInactivityWarned, TypeMessage,
		TypeParticipantJoined, TypeParticipantLeft, TypeReceipt, TypeSessionRequested, TypeSessionChanged, TypeContentRewritten,
		TypeSessionCustomerPanel, TypeSessionNoted,
	}
	var got []Type
	for _, ev := range story() {
		if AudienceCustomer.Sees(ev.Head.Audience()) {
			got = append(got, ev.Head.Type())
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("customers see %v, want %v", got, want)
	}
}

func BenchmarkDecodeHead(b *testing.B) {
	for _, ev := range story() {
		if ev.Head.Type() != TypeReceipt && ev.Head.Type() != TypeMessage && ev.Head.Type() != TypeMessageSettled {
			continue
		}
		head, err := Encode(ev)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(ev.Head.Type()), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeHead(ev.Head.Type(), head); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
