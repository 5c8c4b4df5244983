package conversation_test

import (
	"testing"

	. "github.com/parley-gateway/parley/core/conversation"
)

func BenchmarkPost(b *testing.B) {
	s := &State{}
	for _, cmd := range []Command{
		startWeb(), Join{Agent: agent(1)},
	} {
		events, err := Decide(s, cmd, t0)
		if err != nil {
			b.Fatal(err)
		}
		for _, ev := range events {
			if err := s.Apply(ev); err != nil {
				b.Fatal(err)
			}
		}
	}
	msg := post(2, agentAuthor(1))
	b.Run("DecideApply", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			events, err := Decide(s, msg, t0)
			if err != nil {
				b.Fatal(err)
			}
			if err := s.Apply(events[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Encode", func(b *testing.B) {
		events, err := Decide(s, msg, t0)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Encode(events[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("NextDeadline", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.NextDeadline()
		}
	})
	b.Run("Clone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Clone()
		}
	})
}
