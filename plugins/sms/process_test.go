package sms_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest"
	"github.com/parley-gateway/parley/plugins/sms"
)

const mediaPath = "/2010-04-01/Accounts/" + accountSid + "/Messages/MM1/Media/ME"

// mms delivers a webhook with attachments at the given URLs, and returns the item of its deferred
// event.
func mms(t *testing.T, h *sdktest.Host, text string, urls ...string) []byte {
	t.Helper()
	more := map[string]string{"Body": text, "NumMedia": fmt.Sprint(len(urls))}
	for i, u := range urls {
		more[fmt.Sprint("MediaUrl", i)] = u
		more[fmt.Sprint("MediaContentType", i)] = "image/png"
	}
	req := post(hookURL, inbound(more))
	for range 2 {
		if got := h.Hook(req); got.Status != 200 {
			t.Fatalf("hook: got %d %q, want 200", got.Status, got.Reason)
		}
	}
	ev := h.Events()
	// The key must not be the sid: the message will have that key, and would be taken for a repeat.
	if len(ev) != 1 || ev[0].DedupeKey != "SM00000000000000000000000000000001:media" {
		t.Fatalf("events %+v, want one deferred item", ev)
	}
	return ev[0].Body.(sdk.Deferred).Opaque
}

func process(h *sdktest.Host, opaque []byte, attempt uint32) sdk.Result {
	return h.Process(sdk.ProcessCommand{
		CommandInfo: sdk.CommandInfo{Account: "a", Attempt: attempt}, Opaque: opaque,
	})
}

// received returns the messages in the log.
func received(h *sdktest.Host) []sdk.Event {
	var out []sdk.Event
	for _, ev := range h.Events() {
		if _, ok := ev.Body.(sdk.Message); ok {
			out = append(out, ev)
		}
	}
	return out
}

func TestMedia(t *testing.T) {
	w := newWorld(t, nil)
	storage := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("storage got the account's credentials")
		}
		rw.Header().Set("Content-Type", "image/png")
		_, _ = rw.Write([]byte("picture of " + r.URL.Path))
	}))
	t.Cleanup(storage.Close)
	w.carrier.on(func(rw http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != accountSid || password != token {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.URL.Path == mediaPath+"1" {
			http.Redirect(rw, r, storage.URL+"/one", http.StatusTemporaryRedirect)
			return
		}
		rw.Header().Set("Content-Type", "application/pdf")
		_, _ = rw.Write([]byte("paper"))
	})
	opaque := mms(t, w.Host, "two", w.carrier.URL+mediaPath+"1", "https://api.twilio.com"+mediaPath+"2")
	for attempt := range 2 { // the second round stands for a repeat after a crash: it adds nothing
		if got := process(w.Host, opaque, uint32(attempt)+1); got.Outcome != sdk.OutcomeSent {
			t.Fatalf("process: %+v, want sent", got)
		}
	}
	got := received(w.Host)
	if len(got) != 1 || got[0].Thread != customer || !got[0].ReceivedTime.Equal(time.UnixMicro(1_790_000_000_000_000)) {
		t.Fatalf("messages %+v, want one, received when the webhook came", got)
	}
	m := got[0].Body.(sdk.Message)
	if len(m.Parts) != 3 || !cmp.Equal(m.Parts[0], sdk.Part(sdk.Text{Text: "two"})) {
		t.Fatalf("parts %+v, want the text and two files", m.Parts)
	}
	one, two := m.Parts[1].(sdk.File), m.Parts[2].(sdk.File)
	if one.Name != "SM00000000000000000000000000000001-1.png" || one.Size != uint64(len("picture of /one")) || two.Name != "SM00000000000000000000000000000001-2.pdf" {
		t.Errorf("files %+v %+v", one, two)
	}
}

// TestMediaLost: an attachment that can never be fetched is named in the message; the text is kept.
func TestMediaLost(t *testing.T) {
	status := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(n) }
	}
	for name, tc := range map[string]struct {
		handle http.HandlerFunc
		url    string
		reason string
		final  bool
	}{
		"gone":        {status(404), "", "gone", true},
		"refused":     {status(400), "", "refused", true},
		"credentials": {status(401), "", "unauthorized", false},
		"failing":     {status(503), "", "unavailable", false},
		"busy":        {status(429), "", "unavailable", false},
		"cut":         {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "", "unreachable", false},
		"cut in the file": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("half a picture"))
		}, "", "unavailable", false},
		"cut in a chunk": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("half a picture"))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "", "unavailable", false},
		"other host":   {nil, "https://evil.example/x", "host", true},
		"inside":       {status(404), "http://sandbox:1/x", "gone", true}, // fetched from the base URL's host
		"other scheme": {nil, "ftp://api.twilio.com/x", "host", true},
		"no URL":       {nil, ":", "host", true},
		"no end of redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}, "", "redirect", true},
		"redirect to a file": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(302)
		}, "", "redirect", true},
		"too large": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "16777217")
			w.WriteHeader(200)
		}, "", "too_large", true},
		"too large, unannounced": {func(w http.ResponseWriter, _ *http.Request) {
			chunk := make([]byte, 1<<20)
			for range 17 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, "", "too_large", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.carrier.on(tc.handle)
			address := tc.url
			if address == "" {
				address = w.carrier.URL + mediaPath
			}
			opaque := mms(t, w.Host, "look", address)
			first := process(w.Host, opaque, 1)
			if !tc.final {
				if !first.Retryable || len(received(w.Host)) != 0 {
					t.Fatalf("first attempt: %+v, %d messages; want another try", first, len(received(w.Host)))
				}
				first = process(w.Host, opaque, 9)
			}
			if first.Outcome != sdk.OutcomeSent {
				t.Fatalf("process: %+v, want sent", first)
			}
			got := received(w.Host)
			if len(got) != 1 {
				t.Fatalf("%d messages, want 1", len(got))
			}
			want := []sdk.Part{sdk.Text{Text: "look"}, sdk.Unsupported{Kind: "media", Raw: []byte(`{"mime":"image/png","reason":"` + tc.reason + `"}`)}}
			if diff := cmp.Diff(want, got[0].Body.(sdk.Message).Parts); diff != "" {
				t.Errorf("parts (-want +got)\n%s", diff)
			}
			if strings.Contains(w.log.String(), "look") || strings.Contains(w.log.String(), mediaPath) {
				t.Errorf("the log has content: %s", w.log.String())
			}
		})
	}
}

// TestMediaNotStored: the carrier was told that the attachment was taken. If the gateway cannot
// store it now, it is tried until shortly before the deadline, however often; the text does not
// wait for it (PR1, PR16, FT12).
func TestMediaNotStored(t *testing.T) {
	var full atomic.Bool
	full.Store(true)
	d := newDouble(t)
	h := sdktest.Start(t, sms.New(), sdktest.Options{Config: config(d.URL, nil), Full: full.Load})
	d.on(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "image/png")
		_, _ = rw.Write([]byte("picture"))
	})
	try := func(opaque []byte, left time.Duration) sdk.Result {
		return h.Process(sdk.ProcessCommand{
			CommandInfo: sdk.CommandInfo{Account: "a", Attempt: 200, Deadline: time.Now().Add(left)}, Opaque: opaque,
		})
	}
	item := func(sid string) []byte {
		b, err := json.Marshal(map[string]any{
			"sid": sid, "ids": []string{sid}, "from": customer, "text": "look",
			"media": []map[string]string{{"url": d.URL + mediaPath + "1", "mime": "image/png"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for range 2 { // the text waits no longer, and comes only once (FT12)
		if got := try(item("MM1"), 12*time.Hour); !got.Retryable || len(received(h)) != 1 {
			t.Fatalf("attempt 200 with a full store: %+v, %d messages; want another try, and the text", got, len(received(h)))
		}
	}
	full.Store(false)
	if got := try(item("MM1"), 11*time.Hour); got.Outcome != sdk.OutcomeSent {
		t.Fatalf("attempt with room: %+v, want sent", got)
	}
	full.Store(true)
	if got := try(item("MM2"), 30*time.Minute); got.Outcome != sdk.OutcomeSent {
		t.Fatalf("attempt shortly before the deadline: %+v, want sent", got)
	}
	text := []sdk.Part{sdk.Text{Text: "look"}}
	lost := []sdk.Part{sdk.Unsupported{Kind: "media", Raw: []byte(`{"mime":"image/png","reason":"not_stored"}`)}}
	got := received(h)
	if len(got) != 4 {
		t.Fatalf("%d messages, want the text and the picture of one, and the text and what is lost of the other", len(got))
	}
	for i, want := range [][]sdk.Part{text, nil, text, lost} {
		m := got[i].Body.(sdk.Message)
		if want == nil {
			if _, ok := m.Parts[0].(sdk.File); !ok || len(m.Parts) != 1 || len(m.ProviderIDs) != 0 {
				t.Errorf("message %d: %+v, want the picture alone, under no id of the carrier's", i, m)
			}
			continue
		}
		if diff := cmp.Diff(want, m.Parts); diff != "" {
			t.Errorf("message %d (-want +got)\n%s", i, diff)
		}
	}
}

// TestMediaOnce: text and picture arrive exactly once, whatever an attempt had emitted before its
// result was lost, and whatever number the next attempt has: attempts that a plugin's crash ended
// are counted in the gateway's memory only, so a restart of the gateway lowers the number (PR1, PR3).
func TestMediaOnce(t *testing.T) {
	type attempt struct {
		n    uint32
		full bool
	}
	for name, tc := range map[string]struct {
		attempts []attempt
		messages int
	}{
		"together, again":                  {[]attempt{{9, false}, {9, false}}, 1},
		"together, then apart":             {[]attempt{{9, false}, {10, false}, {11, false}}, 1},
		"together, then without a store":   {[]attempt{{9, false}, {10, true}, {11, false}}, 1},
		"apart, again":                     {[]attempt{{10, true}, {11, false}, {11, false}}, 2},
		"the text, then together":          {[]attempt{{10, true}, {9, false}}, 2},
		"the text, together, and apart":    {[]attempt{{10, true}, {9, false}, {10, false}}, 2},
		"apart, then together":             {[]attempt{{10, false}, {9, false}}, 2},
		"the text, without, then together": {[]attempt{{10, true}, {9, true}, {9, false}}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var full atomic.Bool
			d := newDouble(t)
			h := sdktest.Start(t, sms.New(), sdktest.Options{Config: config(d.URL, nil), Full: full.Load})
			d.on(func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "image/png")
				_, _ = rw.Write([]byte("picture"))
			})
			opaque := mms(t, h, "look", d.URL+mediaPath)
			for _, a := range tc.attempts {
				full.Store(a.full)
				got := h.Process(sdk.ProcessCommand{
					CommandInfo: sdk.CommandInfo{Account: "a", Attempt: a.n, Deadline: time.Now().Add(12 * time.Hour)}, Opaque: opaque,
				})
				if a.full != got.Retryable {
					t.Fatalf("attempt %d: %+v, want another only while the store is full", a.n, got)
				}
			}
			texts, pictures := 0, 0
			for _, ev := range received(h) {
				for _, part := range ev.Body.(sdk.Message).Parts {
					switch part.(type) {
					case sdk.Text:
						texts++
					case sdk.File:
						pictures++
					}
				}
			}
			if n := len(received(h)); n != tc.messages || texts != 1 || pictures != 1 {
				t.Errorf("%d messages with %d texts and %d pictures, want %d with one of each", n, texts, pictures, tc.messages)
			}
		})
	}
}

// TestMediaAfterFullStore: attempts that failed because the store was full do not count against the
// carrier. When there is room again, the carrier has the full number of attempts.
func TestMediaAfterFullStore(t *testing.T) {
	var full, busy atomic.Bool
	d := newDouble(t)
	h := sdktest.Start(t, sms.New(), sdktest.Options{Config: config(d.URL, nil), Full: full.Load})
	d.on(func(rw http.ResponseWriter, _ *http.Request) {
		if busy.Load() {
			rw.WriteHeader(http.StatusTooManyRequests)
			return
		}
		rw.Header().Set("Content-Type", "image/png")
		_, _ = rw.Write([]byte("picture"))
	})
	opaque, err := json.Marshal(map[string]any{
		"sid": "MM1", "ids": []string{"MM1"}, "from": customer, "media": []map[string]string{{"url": d.URL + mediaPath + "1", "mime": "image/png"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for attempt := range uint32(30) {
		full.Store(attempt < 20)
		busy.Store(attempt >= 20 && attempt < 28)
		got := h.Process(sdk.ProcessCommand{
			CommandInfo: sdk.CommandInfo{Account: "a", Attempt: attempt + 1, Deadline: time.Now().Add(12 * time.Hour)}, Opaque: opaque,
		})
		if attempt < 28 {
			if !got.Retryable {
				t.Fatalf("attempt %d: %+v, want another try", attempt+1, got)
			}
			continue
		}
		if got.Outcome != sdk.OutcomeSent {
			t.Fatalf("attempt with room and an answer: %+v, want sent", got)
		}
		break
	}
	got := received(h)
	if len(got) != 1 {
		t.Fatalf("%d messages, want 1", len(got))
	}
	if _, ok := got[0].Body.(sdk.Message).Parts[0].(sdk.File); !ok {
		t.Errorf("parts %+v, want the picture", got[0].Body.(sdk.Message).Parts)
	}
}

func TestProcessOdd(t *testing.T) {
	w := newWorld(t, nil)
	for _, opaque := range []string{"", "{", `{}`, `[]`, `{"sid":"SM1"}`} {
		if got := process(w.Host, []byte(opaque), 1); got.Outcome != sdk.OutcomeFailed || got.Retryable {
			t.Errorf("%q: got %+v, want a final failure", opaque, got)
		}
	}
	if got := w.Process(sdk.ProcessCommand{CommandInfo: sdk.CommandInfo{Account: "b"}, Opaque: []byte("{}")}); !got.Retryable {
		t.Errorf("account not configured: got %+v, want another try", got)
	}
}

// TestProcessRefused: the gateway's refusal is final; what it cannot store now comes again.
func TestProcessRefused(t *testing.T) {
	for name, answer := range map[string]sdktest.Answer{"banned": {Refuse: "banned"}} {
		d := newDouble(t)
		h := sdktest.Start(t, sms.New(), sdktest.Options{Config: config(d.URL, nil), Answer: func(ev sdk.Event) sdktest.Answer {
			if _, ok := ev.Body.(sdk.Message); ok {
				return answer
			}
			return sdktest.Answer{}
		}})
		item, err := json.Marshal(map[string]any{"sid": "MM1", "ids": []string{"MM1"}, "from": customer, "text": "x"})
		if err != nil {
			t.Fatal(err)
		}
		if got := process(h, item, 1); got.Outcome != sdk.OutcomeFailed || got.Retryable || got.Code != name {
			t.Errorf("got %+v, want a final failure, code %s", got, name)
		}
	}
}
