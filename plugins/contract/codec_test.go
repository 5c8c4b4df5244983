package contract_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

const (
	bad  = "caf\xe9 \xed\xa0\x80 \U0001f600"
	good = "caf\x1a \x1a\x1a\x1a \U0001f600"
)

// hookFrame is a frame with s in strings at every depth: single, repeated, nested.
func hookFrame(s string) *pluginv1.PluginFrame {
	return &pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_HookResults{HookResults: &pluginv1.HookResults{Results: []*pluginv1.HookResult{
		{Id: 1, Reason: "fine", Body: []byte(bad)},
		{Id: 2, Headers: []*pluginv1.Header{{Name: "A", Value: s}}, Events: []*pluginv1.Event{{
			Thread: s, Kind: &pluginv1.Event_Message{Message: &pluginv1.Message{
				From: &pluginv1.Address{Name: s}, ProviderIds: []string{"p1", s},
				Parts: []*pluginv1.Part{{Part: &pluginv1.Part_Text{Text: &pluginv1.Text{Text: s}}}},
			}},
		}}},
	}}}}
}

// TestCodecSend (PR19): a message that protobuf refuses to encode arrives with a substitute for
// each bad byte and with the size that was counted, and the sender's message is not changed.
func TestCodecSend(t *testing.T) {
	mended := 0
	c := contract.NewCodec(func() { mended++ })
	m := hookFrame(bad)
	data, err := c.Marshal(m)
	if err != nil {
		t.Fatalf("marshal: %v, want it mended", err)
	}
	var got pluginv1.PluginFrame
	if err := proto.Unmarshal(data.Materialize(), &got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(&got, hookFrame(good)) {
		t.Errorf("arrived as %v, want %v", &got, hookFrame(good))
	}
	if data.Len() != proto.Size(m) {
		t.Errorf("%d bytes, want the %d that were counted", data.Len(), proto.Size(m))
	}
	if !proto.Equal(m, hookFrame(bad)) {
		t.Error("the sender's message was changed")
	}
	if _, err := c.Marshal(hookFrame("fine")); err != nil || mended != 1 {
		t.Errorf("a message that is fine: %v, %d mended, want 1", err, mended)
	}
}

// TestCodecTake (PR19): a message from a peer in another language with strings that are not UTF-8
// is understood.
func TestCodecTake(t *testing.T) {
	mended := 0
	c := contract.NewCodec(func() { mended++ })
	wire, err := proto.Marshal(hookFrame(good))
	if err != nil {
		t.Fatal(err)
	}
	wire = []byte(strings.ReplaceAll(string(wire), good, bad))
	before := string(wire)
	var got pluginv1.PluginFrame
	if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(wire)}, &got); err != nil {
		t.Fatalf("unmarshal: %v, want it mended", err)
	}
	if !proto.Equal(&got, hookFrame(good)) || mended != 1 {
		t.Errorf("arrived as %v, %d mended, want %v, 1", &got, mended, hookFrame(good))
	}
	if string(wire) != before {
		t.Error("the received bytes were changed")
	}
	if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(append(wire, 0xff))}, &got); err == nil {
		t.Error("a broken encoding was taken")
	}
}

// FuzzCodec: any bytes are refused or understood without a panic, and a message that is understood
// can be sent on.
func FuzzCodec(f *testing.F) {
	for _, s := range []string{bad, good, "\xff", ""} {
		wire, err := contract.NewCodec(nil).Marshal(hookFrame(s))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire.Materialize())
		f.Add(protowire.AppendString(protowire.AppendTag(nil, 3, protowire.BytesType), s))
	}
	c := contract.NewCodec(nil)
	f.Fuzz(func(t *testing.T, wire []byte) {
		var m pluginv1.PluginFrame
		if c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(wire)}, &m) != nil {
			return
		}
		if s := m.GetSubscribe().GetThread(); !utf8.ValidString(s) {
			t.Errorf("thread %q is no UTF-8", s)
		}
		if _, err := c.Marshal(&m); err != nil {
			t.Errorf("taken, but not to be sent: %v", err)
		}
	})
}
