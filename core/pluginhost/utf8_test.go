package pluginhost_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost"
)

// Input that is not UTF-8 must not cost a plugin its session (PR10, PR19): in a header the bytes
// are replaced, a query is percent-encoded, and the first generation answers every request.
func TestHookNotUTF8(t *testing.T) {
	b := newBench(t, nil, self("echo"))
	b.ready(t)
	req := post("show")
	req.URL = "https://x/hooks/1?text=caf\xe9&b=%20"
	req.Header = http.Header{"User-Agent": {"Caf\xe9/1.0", "\xff\xfe"}}
	resp, err := b.host.Hook(t.Context(), b.account, req)
	if err != nil || resp.Status != 202 {
		t.Fatalf("hook with bytes that are not UTF-8: got %d, %v, want 202", resp.Status, err)
	}
	for _, want := range []string{"https://x/hooks/1?text=caf%E9&b=%20", "Caf\uFFFD/1.0"} {
		if !strings.Contains(string(resp.Body), want) {
			t.Errorf("the plugin got %q, want %q in it", resp.Body, want)
		}
	}
	// For the plugin's answer: in a text the bytes are replaced, an event with such a name is
	// refused, and in both cases the carrier gets the plugin's answer.
	for _, body := range []string{"text @@", "key @@"} {
		if resp, err := b.host.Hook(t.Context(), b.account, post(body)); err != nil || resp.Status != 202 {
			t.Errorf("%s: got %d, %v, want 202", body, resp.Status, err)
		}
	}
	if !b.core.has(b.account, "text") {
		t.Error("the text with bad bytes is lost")
	}
	b.core.mu.Lock()
	for _, in := range b.core.events {
		if !utf8.ValidString(in.DedupeKey) || strings.HasPrefix(in.DedupeKey, "key") {
			t.Errorf("an event was stored under %q, want it refused", in.DedupeKey)
		}
	}
	b.core.mu.Unlock()
	if got := counter(t, b.host, "parley_pluginhost_mended_messages_total"); got != 2 {
		t.Errorf("mended messages: got %v, want 2", got)
	}
	if s := b.status(t); s.Generation != 1 {
		t.Errorf("generation: got %d, want the first one still", s.Generation)
	}
}

// A command that cannot be encoded must fail alone (PR19); a text whose bytes can be replaced is
// sent.
func TestCommandNotUTF8(t *testing.T) {
	b := newBench(t, nil, self("echo"))
	b.ready(t)
	to := func(thread, to string) [16]byte {
		return b.core.put(plugin.Outbound{Account: b.account, Thread: thread, Send: &plugin.SendCommand{To: to}})
	}
	want := map[[16]byte]conversation.Status{
		b.core.send(b.account, "caf\xe9"): conversation.StatusSent,
		to("+1\xff", "+1"):                conversation.StatusFailed,
		to("+1", "+1\xff"):                conversation.StatusFailed,
		b.core.send(b.account, "hello"):   conversation.StatusSent,
	}
	for id, outcome := range want {
		b.core.until(t, "a result", func() bool { return b.core.settled(id) })
		b.core.mu.Lock()
		got := b.core.results[id][0]
		b.core.mu.Unlock()
		if got.Outcome != outcome || outcome == conversation.StatusFailed && got.Code != "not_utf8" {
			t.Errorf("got %s %q, want %s", got.Outcome, got.Code, outcome)
		}
	}
	if s := b.status(t); s.Generation != 1 {
		t.Errorf("generation: got %d, want the first one still", s.Generation)
	}
}

// FuzzHookFrame: it must be possible to encode every webhook, without losing a byte of its URL or
// body (PR19).
func FuzzHookFrame(f *testing.F) {
	f.Add("https://x/hooks/1?a=%FF", "X-Twilio-Signature", "sig=", []byte("Body=%FF"))
	f.Add("https://x/hooks/1?a=\xff", "User-Agent", "Caf\xe9", []byte{0xff})
	f.Add("https://x/hooks/1?a=\u00e9\xff", "X", "\xed\xa0\x80", []byte(nil))
	f.Fuzz(func(t *testing.T, address, name, value string, body []byte) {
		frame := pluginhost.HookFrame(newAccount(), pluginhost.HookRequest{
			Method: http.MethodPost, URL: address, Header: http.Header{name: {value}}, Body: body,
		})
		if _, err := proto.Marshal(frame); err != nil {
			t.Fatalf("URL %q, header %q: %q: %v", address, name, value, err)
		}
		if utf8.ValidString(address) {
			if frame.GetUrl() != address {
				t.Errorf("URL %q became %q", address, frame.GetUrl())
			}
		} else if got, err := url.PathUnescape(frame.GetUrl()); err == nil {
			if want, err := url.PathUnescape(address); err == nil && got != want {
				t.Errorf("URL %q means %q, want %q", address, got, want)
			}
		}
		if string(frame.GetBody()) != string(body) {
			t.Errorf("body %q became %q", body, frame.GetBody())
		}
	})
}
