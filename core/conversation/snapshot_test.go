package conversation_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"

	. "github.com/parley-gateway/parley/core/conversation"
)

// DESIGN.md 3, FT34: a row says which fold made it. A row of another fold is recognised; a row
// without a number, from versions before the number, is of fold 1.
func TestSnapshotNumbers(t *testing.T) {
	plain, err := os.ReadFile("testdata/state.json") // written before rows had a number
	if err != nil {
		t.Fatal(err)
	}
	s, err := DecodeState(plain)
	if !errors.Is(err, ErrOlderFold) || s.Seq == 0 {
		t.Fatalf("a row without a number: got seq %d, %v, want ErrOlderFold and what can be read", s.Seq, err)
	}
	row, err := EncodeState(s)
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeState(row)
	if err != nil || back.Seq != s.Seq || back.Channel != s.Channel {
		t.Errorf("a row of this fold: got %+v, %v", back, err)
	}
	for name, c := range map[string]struct {
		row  string
		want error
	}{
		"newer":                   {fmt.Sprintf(`{"fold":%d,"seq":7,"channel":"x"}`, FoldNumber+1), ErrNewerFold},
		"newer, number elsewhere": {fmt.Sprintf(`{ "seq":7, "channel":"x", "fold":%d }`, FoldNumber+1), ErrNewerFold},
		"newer, changed shape":    {`{"fold":12,"channel":"x","seq":7,"participants":{"a":1}}`, ErrNewerFold},
		"older":                   {`{"fold":1,"seq":7,"channel":"x"}`, ErrOlderFold},
	} {
		if got, err := DecodeState([]byte(c.row)); !errors.Is(err, c.want) || got.Channel != "x" {
			t.Errorf("%s: got %v and channel %q, want %v and what can be read", name, err, got.Channel, c.want)
		}
	}
	if _, err := DecodeState(fmt.Appendf(nil, `{"fold":%d,"seq":`, FoldNumber)); err == nil || errors.Is(err, ErrNewerFold) || errors.Is(err, ErrOlderFold) {
		t.Errorf("a damaged row: got %v, want an error of its own", err)
	}
}

// DESIGN.md 3: an unknown type stops a fold unless its head says that it is ignorable, and only the
// circle that the head names sees the event.
func TestUnknownTypes(t *testing.T) {
	const future = Type("future.thing/1")
	if _, err := DecodeHead(future, []byte(`{"a":1}`)); !errors.Is(err, ErrUnknownType) {
		t.Errorf("an unknown type: got %v, want ErrUnknownType", err)
	}
	for head, want := range map[string]Audience{
		`{"ignorable":true}`:                         AudienceAudit,
		`{"ignorable":true,"audience":""}`:           AudienceAudit,
		`{"ignorable":true,"audience":null}`:         AudienceAudit,
		`{"ignorable":true,"audience":"supervisor"}`: AudienceSupervisor,
		`{"ignorable":true,"audience":"agent"}`:      AudienceAgent,
		`{"ignorable":true,"audience":"bot"}`:        AudienceBot,
		`{"ignorable":true,"audience":"customer"}`:   AudienceCustomer,
		`{"ignorable":true,"audience":"everybody"}`:  AudienceAudit,
	} {
		h, err := DecodeHead(future, []byte(head))
		if err != nil || h.Type() != future || h.Audience() != want {
			t.Errorf("%s: got %v, %v; want audience %v", head, h, err, want)
			continue
		}
		s := &State{Seq: 3}
		if err := s.Apply(Event{Seq: 4, Head: h, Body: json.RawMessage(`{}`)}); err != nil || s.Seq != 4 || s.LastVisible[want] != 4 {
			t.Errorf("%s: fold stopped at seq %d: %v", head, s.Seq, err)
		}
	}
}
