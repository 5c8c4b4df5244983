package sdktest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// channel is a plugin with every ability, which remembers.
type channel struct {
	host     sdk.Host
	mu       sync.Mutex
	order    []string
	problems sdk.Problems
	send     func(context.Context, *sdk.SendCommand) sdk.Result
	drained  bool
}

func (c *channel) Describe(context.Context) (sdk.Manifest, error) {
	return sdk.Manifest{
		ID: "test", Name: "Test", Version: "1", Delivery: sdk.StoreAndForward, CanLookup: true,
		Hook: &sdk.HookInfo{},
		Routes: []sdk.Route{
			{Path: "open", Access: sdk.Public}, {Path: "agent", Access: sdk.AgentOnly},
		},
	}, nil
}

func (c *channel) Configure(_ context.Context, cfg *sdk.Config) error {
	for _, a := range cfg.Accounts {
		if a.Secrets["token"].IsZero() {
			return sdk.Problems{{Account: a.ID, Path: "/token", Code: "required", Text: "no token"}}
		}
	}
	return c.problems.Err()
}

func (c *channel) Attach(_ context.Context, host sdk.Host) error {
	c.host = host
	return nil
}

func (c *channel) Send(ctx context.Context, cmd *sdk.SendCommand) sdk.Result {
	if c.send != nil {
		return c.send(ctx, cmd)
	}
	if err := cmd.Begin(ctx); err != nil {
		return sdk.Retry(sdk.KindTemporary, "begin", "", 0)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.order = append(c.order, string(cmd.ID))
	return sdk.Sent("p-" + string(cmd.ID))
}

func (c *channel) Lookup(context.Context, *sdk.LookupCommand) sdk.Result {
	return sdk.Unknown("404", "")
}

func (c *channel) Process(ctx context.Context, cmd *sdk.ProcessCommand) sdk.Result {
	_, err := c.host.Emit(ctx, sdk.Event{
		Account: cmd.Account, Thread: cmd.Thread, DedupeKey: "processed", Body: sdk.Message{Parts: []sdk.Part{sdk.Text{Text: string(cmd.Opaque)}}},
	})
	if err != nil {
		return sdk.Retry(sdk.KindTemporary, "emit", "", 0)
	}
	return sdk.Sent()
}

func (c *channel) Hook(_ context.Context, r *sdk.HookRequest) sdk.HookResponse {
	if r.Header.Get("X-Signature") != "good" {
		return sdk.RejectHook(http.StatusForbidden, "signature")
	}
	return sdk.HookResponse{Events: []sdk.Event{{
		Thread: "t", DedupeKey: string(r.Body), Body: sdk.Deferred{Opaque: r.Body},
	}}}
}

func (c *channel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, ok := sdk.IdentityOf(r.Context())
	_, _ = fmt.Fprintf(w, "%s %v %s", r.URL.Path, ok, id.Subject)
}

func (c *channel) Drain(context.Context) error {
	c.drained = true
	return nil
}

func (c *channel) WriteMetrics(_ context.Context, w io.Writer) error {
	_, err := io.WriteString(w, "test_total 3")
	return err
}

func (c *channel) Signal(_ context.Context, s sdk.Signal) {
	c.host.Signal(s) // echo
}

func start(t *testing.T, c *channel, opts sdktest.Options) *sdktest.Host {
	t.Helper()
	opts.Config.Accounts = append(opts.Config.Accounts, sdk.Account{
		ID: "a", Enabled: true, Secrets: map[string]sdk.Secret{"token": sdk.NewSecret("x")},
	})
	return sdktest.Start(t, c, opts)
}

func message(key, text string) sdk.Event {
	return sdk.Event{Account: "a", Thread: "t", DedupeKey: key, Body: sdk.Message{Parts: []sdk.Part{sdk.Text{Text: text}}}}
}

func TestCommands(t *testing.T) {
	c := &channel{}
	h := start(t, c, sdktest.Options{})
	got := h.Send(sdk.SendCommand{CommandInfo: sdk.CommandInfo{ID: "c1", Account: "a", Thread: "t"}})
	if diff := cmp.Diff(sdk.Sent("p-c1"), got); diff != "" {
		t.Errorf("send: (-want +got)\n%s", diff)
	}
	if !h.Begun("c1") {
		t.Error("send: the barrier was not passed")
	}
	if got := h.Lookup(sdk.LookupCommand{}); got.Outcome != sdk.OutcomeUnknown {
		t.Errorf("lookup: got %+v, want unknown", got)
	}
	if got := h.Process(sdk.ProcessCommand{CommandInfo: sdk.CommandInfo{Account: "a", Thread: "t"}, Opaque: []byte("later")}); got.Outcome != sdk.OutcomeSent {
		t.Errorf("process: got %+v, want sent", got)
	}
	if n := len(h.Events()); n != 1 {
		t.Errorf("process: %d events, want 1", n)
	}
}

func TestBeginRefused(t *testing.T) {
	h := start(t, &channel{}, sdktest.Options{RefuseBegin: true})
	if got := h.Send(sdk.SendCommand{}); !got.Retryable {
		t.Errorf("send behind a refused barrier: got %+v, want a retryable failure", got)
	}
}

func TestPanicBecomesResult(t *testing.T) {
	for name, tc := range map[string]struct {
		send func(context.Context, *sdk.SendCommand) sdk.Result
		want sdk.Outcome
	}{
		"before begin": {func(context.Context, *sdk.SendCommand) sdk.Result { panic("x") }, sdk.OutcomeFailed},
		"after begin": {func(ctx context.Context, c *sdk.SendCommand) sdk.Result {
			_ = c.Begin(ctx)
			panic("x")
		}, sdk.OutcomeUnknown},
		"no outcome": {func(context.Context, *sdk.SendCommand) sdk.Result { return sdk.Result{} }, sdk.OutcomeFailed},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, &channel{send: tc.send}, sdktest.Options{})
			if got := h.Send(sdk.SendCommand{}); got.Outcome != tc.want {
				t.Errorf("got %+v, want outcome %v", got, tc.want)
			}
		})
	}
}

func TestHook(t *testing.T) {
	h := start(t, &channel{}, sdktest.Options{})
	if got := h.Hook(sdk.HookRequest{Account: "a"}); got.Status != http.StatusForbidden || got.Reason != "signature" {
		t.Errorf("unsigned hook: got %+v, want 403 signature", got)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	req := sdk.HookRequest{Account: "a", Body: []byte("m1"), Header: http.Header{"X-Signature": {"good"}}, ReceivedTime: at}
	for range 2 {
		if got := h.Hook(req); got.Status != http.StatusOK {
			t.Errorf("hook: got %+v, want 200", got)
		}
	}
	want := []sdk.Event{{Account: "a", Thread: "t", DedupeKey: "m1", ReceivedTime: at, Body: sdk.Deferred{Opaque: []byte("m1")}}}
	if diff := cmp.Diff(want, h.Events()); diff != "" {
		t.Errorf("events after the same hook twice: (-want +got)\n%s", diff)
	}
}

func TestEmit(t *testing.T) {
	c := &channel{}
	retries := 2
	h := start(t, c, sdktest.Options{Answer: func(ev sdk.Event) sdktest.Answer {
		switch ev.DedupeKey {
		case "banned":
			return sdktest.Answer{Refuse: "banned"}
		case "later":
			retries--
			return sdktest.Answer{Retry: retries >= 0}
		}
		return sdktest.Answer{}
	}})
	ack, err := c.host.Emit(t.Context(), message("m1", "hello"))
	if err != nil || ack.Duplicate || ack.Seq != 1 {
		t.Errorf("emit: got %+v, %v, want the first record", ack, err)
	}
	if ack, err := c.host.Emit(t.Context(), message("m1", "hello")); err != nil || !ack.Duplicate || ack.Seq != 1 {
		t.Errorf("emit again: got %+v, %v, want a duplicate of the first record", ack, err)
	}
	var refused *sdk.RefusedError
	if _, err := c.host.Emit(t.Context(), message("banned", "x")); !errors.As(err, &refused) || refused.Code != "banned" {
		t.Errorf("emit: got %v, want a refusal with code banned", err)
	}
	if _, err := c.host.Emit(t.Context(), message("later", "x")); err != nil {
		t.Errorf("emit while the log takes nothing: got %v, want nil after retries", err)
	}
	if _, err := c.host.Emit(t.Context(), message("big", strings.Repeat("x", 9<<20))); !errors.Is(err, sdk.ErrTooLarge) {
		t.Errorf("emit of 9 MiB: got %v, want ErrTooLarge", err)
	}
	if got := len(h.Events()); got != 2 {
		t.Errorf("%d events in the log, want 2", got)
	}
}

func TestUnacknowledgedComeAgain(t *testing.T) {
	c := &channel{}
	var mu sync.Mutex
	silent := true
	h := start(t, c, sdktest.Options{Answer: func(sdk.Event) sdktest.Answer {
		mu.Lock()
		defer mu.Unlock()
		return sdktest.Answer{Silent: silent}
	}})
	const n = 100
	acked := make(chan error, n)
	for i := range n {
		if err := c.host.EmitAsync(message(fmt.Sprint(i), "x"), func(_ sdk.Ack, err error) { acked <- err }); err != nil {
			t.Fatalf("emit %d: %v", i, err)
		}
	}
	h.WaitEvent(func(ev sdk.Event) bool { return ev.DedupeKey == fmt.Sprint(n-1) })
	mu.Lock()
	silent = false
	mu.Unlock()
	h.Connect()
	for range n {
		if err := <-acked; err != nil {
			t.Errorf("acknowledgement: %v", err)
		}
	}
	for i, ev := range h.Events() {
		if ev.DedupeKey != fmt.Sprint(i) {
			t.Fatalf("event %d has key %s: order lost", i, ev.DedupeKey)
		}
	}
}

func TestSubscription(t *testing.T) {
	const conversation = "0190aaaa-0000-7000-8000-00000000000c"
	c := &channel{}
	h := start(t, c, sdktest.Options{})
	got := make(chan sdk.RecordBatch, 100)
	sub := c.host.Subscribe(t.Context(), "a", "t", sdk.Cursor{}, func(b sdk.RecordBatch) { got <- b }, sdk.SubscribeOptions{Credit: 4})
	h.Publish("a", "t", true, sdk.Record{Conversation: conversation, Type: "message/1"}, sdk.Record{Conversation: conversation, Type: "message/1"})
	if b := <-got; len(b.Records) != 2 || !b.Live || b.Records[1].Prev != 1 {
		t.Errorf("batch: got %+v, want two records, live", b)
	}
	h.Connect()
	if at := h.WaitSubscribed("a", "t"); at != (sdk.Cursor{Conversation: conversation, Seq: 2}) {
		t.Errorf("after a lost session: subscribed after %+v, want seq 2 of %s", at, conversation)
	}
	h.EndSubscriptions("a", "t", "ended")
	if b := <-got; b.End != "ended" {
		t.Errorf("end: got %+v", b)
	}
	sub.Close()
}

func TestStore(t *testing.T) {
	c := &channel{}
	start(t, c, sdktest.Options{})
	ctx, kv := t.Context(), c.host.KV()
	if _, _, err := kv.Get(ctx, "k"); !errors.Is(err, sdk.ErrNotFound) {
		t.Errorf("get of nothing: got %v, want ErrNotFound", err)
	}
	v, err := kv.PutIf(ctx, "k", []byte("1"), 0)
	if err != nil {
		t.Fatalf("put: %v", err)
	}
	if _, err := kv.PutIf(ctx, "k", []byte("2"), 0); !errors.Is(err, sdk.ErrConflict) {
		t.Errorf("put over: got %v, want ErrConflict", err)
	}
	if got, version, err := kv.Get(ctx, "k"); err != nil || string(got) != "1" || version != v {
		t.Errorf("get: got %q %d %v, want 1 %d", got, version, err, v)
	}
	if keys, err := kv.List(ctx, "k", "", 10); err != nil || len(keys) != 1 {
		t.Errorf("list: got %v %v", keys, err)
	}
	if err := kv.Delete(ctx, "k"); err != nil {
		t.Errorf("delete: %v", err)
	}
	big := bytes.Repeat([]byte("blob"), 100_000)
	file, err := c.host.Blobs().Put(ctx, sdk.BlobMeta{Account: "a", Name: "f.bin", MIME: "x/y"}, bytes.NewReader(big))
	if err != nil || file.Size != uint64(len(big)) {
		t.Fatalf("blob put: got %+v, %v", file, err)
	}
	for _, cut := range []error{io.ErrUnexpectedEOF, fmt.Errorf("link: %w", io.EOF)} { // a download that was cut off
		half := io.MultiReader(bytes.NewReader(big), iotest.ErrReader(cut))
		if file, err := c.host.Blobs().Put(ctx, sdk.BlobMeta{Account: "a", Name: "f.bin"}, half); !errors.Is(err, cut) {
			t.Errorf("put of half a file that ends with %q: got %+v, %v, want that error", cut, file, err)
		}
	}
	meta, r, err := c.host.Blobs().Get(ctx, file.Blob)
	if err != nil {
		t.Fatalf("blob get: %v", err)
	}
	defer func() { _ = r.Close() }()
	if data, err := io.ReadAll(r); err != nil || !bytes.Equal(data, big) || meta != file {
		t.Errorf("blob get: %d bytes, %+v, %v", len(data), meta, err)
	}
	if _, _, err := c.host.Blobs().Get(ctx, "none"); !errors.Is(err, sdk.ErrNotFound) {
		t.Errorf("blob get of nothing: got %v, want ErrNotFound", err)
	}
	if url, _, err := c.host.Blobs().URL(ctx, file.Blob, time.Minute, false); err != nil || url == "" {
		t.Errorf("blob url: got %q %v", url, err)
	}
	if g, err := c.host.MintGrant(ctx, "a", "t", "upload"); err != nil || g.Token.Reveal() == "" {
		t.Errorf("grant: got %+v %v", g, err)
	}
}

func TestHTTP(t *testing.T) {
	h := start(t, &channel{}, sdktest.Options{})
	agent := &sdk.Identity{Subject: "ana"}
	for name, tc := range map[string]struct {
		id   *sdk.Identity
		path string
		code int
		body string
	}{
		"public without identity": {nil, "/open/x", 200, "/open/x false "},
		"public with identity":    {agent, "/open/x", 200, "/open/x true ana"},
		"agent without identity":  {nil, "/agent", 401, "identity missing\n"},
		"agent with identity":     {agent, "/agent", 200, "/agent true ana"},
		"outside of every route":  {agent, "/other", 404, "404 page not found\n"},
		"up and over":             {nil, "/open/../agent", 404, "404 page not found\n"},
		"twice a slash":           {nil, "/open//x", 404, "404 page not found\n"},
		"prefix is no route":      {agent, "/agents", 404, "404 page not found\n"},
	} {
		t.Run(name, func(t *testing.T) {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://plugin"+tc.path, nil)
			resp, err := h.HTTP(tc.id).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tc.code || string(body) != tc.body {
				t.Errorf("got %d %q, want %d %q", resp.StatusCode, body, tc.code, tc.body)
			}
		})
	}
}

func TestSignalsStatusMetricsDrain(t *testing.T) {
	c := &channel{}
	h := start(t, c, sdktest.Options{})
	want := sdk.Signal{Account: "a", Thread: "t", Kind: sdk.SignalQueue, Position: 3, Wait: time.Second}
	h.Signal(want)
	h.WaitSignal(func(s sdk.Signal) bool { return s == want })
	c.host.Status(sdk.AccountStatus{Account: "a", Code: "unauthorized"})
	h.WaitStatus(func(s sdk.AccountStatus) bool { return s.Code == "unauthorized" })
	h.Connect()
	h.WaitStatus(func(s sdk.AccountStatus) bool { return s.Code == "unauthorized" })
	if m := h.Metrics(); !strings.Contains(m, "test_total 3\n# HELP sdk_") {
		t.Errorf("metrics: %s", m)
	}
	h.Drain(time.Second)
	if !c.drained {
		t.Error("Drain was not called")
	}
}

func TestConfigure(t *testing.T) {
	c := &channel{}
	h := start(t, c, sdktest.Options{})
	want := sdk.Problems{{Account: "b", Path: "/token", Code: "required", Text: "no token"}}
	err := h.Configure(sdk.Config{Accounts: []sdk.Account{{ID: "b"}}})
	var got sdk.Problems
	if !errors.As(err, &got) || !cmp.Equal(want, got) {
		t.Errorf("configure without token: got %v, want %v", err, want)
	}
}

// TestStores: a later process finds what an earlier one has stored, and NewKV refuses what the store of a Host
// does.
func TestStores(t *testing.T) {
	store := func(after *sdktest.Host) (*sdktest.Host, sdk.KV) {
		var kv sdk.KV
		p := sdk.Abilities{
			Describer: sdk.DescribeFunc(func(context.Context) (sdk.Manifest, error) {
				return sdk.Manifest{ID: "p", Name: "P", Version: "1", Delivery: sdk.Connected}, nil
			}),
			Configurer: sdk.ConfigureFunc(func(context.Context, *sdk.Config) error { return nil }),
			Attacher:   sdk.AttachFunc(func(_ context.Context, host sdk.Host) error { kv = host.KV(); return nil }),
		}
		return sdktest.Start(t, p, sdktest.Options{After: after}), kv
	}
	host, hosts := store(nil)
	for name, kv := range map[string]sdk.KV{"of a Host": hosts, "NewKV": sdktest.NewKV()} {
		if _, _, err := kv.Get(t.Context(), "k"); !errors.Is(err, sdk.ErrNotFound) {
			t.Errorf("%s: get of nothing: %v, want ErrNotFound", name, err)
		}
		version, err := kv.PutIf(t.Context(), "k", []byte("1"), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.PutIf(t.Context(), "k", []byte("2"), version+1); !errors.Is(err, sdk.ErrConflict) {
			t.Errorf("%s: put over another version: %v, want ErrConflict", name, err)
		}
		if keys, err := kv.List(t.Context(), "", "", 10); err != nil || !slices.Equal(keys, []string{"k"}) {
			t.Errorf("%s: list: %q, %v", name, keys, err)
		}
	}
	if _, next := store(host); next != nil {
		if text, _, err := next.Get(t.Context(), "k"); err != nil || string(text) != "1" {
			t.Errorf("the next process finds %q, %v", text, err)
		}
	}
}
