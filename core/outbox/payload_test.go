package outbox

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// White box: a payload that cannot be read only shows as a failure outside.

func TestPayloadOfACall(t *testing.T) {
	want := &plugin.CallCommand{
		Session: conversation.NewID[conversation.SessionID](),
		Dial:    &plugin.CallDial{Leg: conversation.NewID[conversation.LegID](), To: "+4930", Attributes: map[string]string{"x": "y"}},
	}
	payload, err := joinPayload("thread", want)
	if err != nil {
		t.Fatal(err)
	}
	var got plugin.Outbound
	if err := readPayload(KindCall, payload, &got); err != nil || !reflect.DeepEqual(got.Call, want) {
		t.Errorf("got %+v, %v, want %+v", got.Call, err, want)
	}
}

// A payload of any bytes is read without a panic, or can never be read; what was joined is found
// again.
func FuzzPayload(f *testing.F) {
	f.Add("t", []byte(`{"session":"","hang_up":{}}`))
	f.Add("", []byte{})
	f.Add("\xff", []byte(`{"ProviderIDs":["m"]}`))
	f.Add("long", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, thread string, data []byte) {
		for _, kind := range append(kinds(), otherKind) {
			for _, payload := range [][]byte{data, joinThread(thread, data)} {
				var out plugin.Outbound
				if err := readPayload(kind, payload, &out); err != nil && !errors.Is(err, ErrUnreadable) {
					t.Fatalf("%s: %v, want ErrUnreadable", kind, err)
				}
			}
		}
		gotThread, gotData, err := splitThread(joinThread(thread, data))
		if err != nil || gotThread != thread || string(gotData) != string(data) {
			t.Fatalf("joined %q %q, split %q %q, %v", thread, data, gotThread, gotData, err)
		}
		var out plugin.Outbound
		if err := readPayload(KindCall, joinThread(thread, data), &out); (err == nil) != (json.Unmarshal(data, &plugin.CallCommand{}) == nil) {
			t.Fatalf("call %q: %v", data, err)
		}
	})
}
