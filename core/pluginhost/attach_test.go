package pluginhost_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// attached is a plugin that the host did not start: here the test runs it itself.
type attached struct {
	*child
	path   string
	server *grpc.Server

	mu     sync.Mutex
	config *pluginv1.ConfigureRequest
	answer func(context.Context) error // the answer to Configure, instead of the child's; nil = the child's answer
}

func (a *attached) Configure(ctx context.Context, r *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	a.mu.Lock()
	a.config = r
	answer := a.answer
	a.mu.Unlock()
	if answer != nil {
		return nil, answer(ctx)
	}
	return a.child.Configure(ctx, r)
}

func (a *attached) serve(tb testing.TB) {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "unix", a.path)
	if err != nil {
		tb.Fatal(err)
	}
	a.server = grpc.NewServer()
	pluginv1.RegisterPluginServiceServer(a.server, a)
	server := a.server
	go func() { _ = server.Serve(l) }()
	tb.Cleanup(server.Stop)
}

func newAttached(tb testing.TB, opts func(*pluginhost.Options)) (*bench, *attached) {
	tb.Helper()
	a := &attached{child: &child{name: "echo", modes: map[string]bool{}}, path: filepath.Join(runDir(tb), "dev.sock")}
	a.serve(tb)
	return newBench(tb, opts, pluginhost.Spec{ID: "echo", Attach: a.path}), a
}

// An attached plugin must be served like any other, and be used again after its own operator has
// restarted it.
func TestAttach(t *testing.T) {
	b, a := newAttached(t, nil)
	b.ready(t)
	if s := b.status(t); s.Kind != "attached" || s.PID != 0 {
		t.Errorf("status: got %s, process %d, want attached without one", s.Kind, s.PID)
	}
	id := b.core.send(b.account, "hello")
	b.core.until(t, "the result of a command", func() bool { return b.core.settled(id) })
	a.server.Stop()
	b.core.until(t, "the loss", func() bool { return b.status(t).Instance == "" })
	a.serve(t)
	b.ready(t)
	if _, err := b.host.Hook(t.Context(), b.account, post("m")); err != nil {
		t.Error(err)
	}
}

// A lost plugin, a failed call and a caller who gave up must be three different errors.
func TestCallErrors(t *testing.T) {
	b, a := newAttached(t, nil)
	b.ready(t)
	answer := func(f func(context.Context) error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.answer = f
	}
	answer(func(context.Context) error {
		return contract.Error(codes.FailedPrecondition, contract.ReasonInvalid, "no")
	})
	_, err := b.host.Validate(t.Context(), "echo", nil, nil)
	var call *pluginhost.CallError
	if !errors.As(err, &call) || call.Reason != contract.ReasonInvalid || call.Op != "configure" || errors.Is(err, pluginhost.ErrGone) {
		t.Errorf("failed call: got %v, want a CallError with its reason", err)
	}
	answer(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.host.Validate(ctx, "echo", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("impatient caller: got %v, want the context's error", err)
	}
	answer(func(ctx context.Context) error { go a.server.Stop(); <-ctx.Done(); return ctx.Err() })
	if _, err := b.host.Validate(t.Context(), "echo", nil, nil); !errors.Is(err, pluginhost.ErrGone) {
		t.Errorf("lost plugin: got %v, want ErrGone", err)
	}
}

// scoped is what GatewayService gives access to; it holds the things of one account.
type scoped struct {
	mu      sync.Mutex
	account conversation.AccountID
	values  map[string][]byte
	stored  []byte
	cut     error // how reading what is stored ends; nil: at its end
}

func (s *scoped) Get(_ context.Context, plugin, key string) ([]byte, uint64, bool, error) {
	v, ok := s.values[plugin+"/"+key]
	return v, 1, ok, nil
}

func (s *scoped) Put(_ context.Context, plugin, key string, value []byte, ifVersion uint64, conditional bool) (uint64, bool, error) {
	_, there := s.values[plugin+"/"+key]
	if conditional && there != (ifVersion != 0) {
		return 0, false, nil
	}
	s.values[plugin+"/"+key] = value
	return 1, true, nil
}

func (s *scoped) Delete(_ context.Context, plugin, key string) error {
	delete(s.values, plugin+"/"+key)
	return nil
}

func (s *scoped) List(_ context.Context, plugin, prefix, _ string, _ int) (keys []string, err error) {
	for k := range s.values {
		if rest, ok := strings.CutPrefix(k, plugin+"/"); ok && strings.HasPrefix(rest, prefix) {
			keys = append(keys, rest)
		}
	}
	return keys, nil
}

type scopedBlobs struct{ *scoped }

func (s scopedBlobs) Put(_ context.Context, account conversation.AccountID, _, name, mime string, r io.Reader) (conversation.File, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return conversation.File{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account, s.stored = account, b
	return conversation.File{Blob: conversation.BlobID(account), Name: name, MIME: mime, Size: int64(len(b))}, nil
}

func (s scopedBlobs) Get(_ context.Context, accounts []conversation.AccountID, id conversation.BlobID) (conversation.File, io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(accounts) != 1 || conversation.BlobID(accounts[0]) != id {
		return conversation.File{}, nil, plugin.ErrNotFound
	}
	var body io.Reader = strings.NewReader(string(s.stored))
	if s.cut != nil {
		body = io.MultiReader(body, iotest.ErrReader(s.cut))
	}
	return conversation.File{Blob: id, Size: int64(len(s.stored))}, io.NopCloser(body), nil
}

func (s scopedBlobs) URL(_ context.Context, _ []conversation.AccountID, id conversation.BlobID, ttl time.Duration, _ bool) (string, time.Time, error) {
	return "https://files/" + id.String(), time.Unix(0, 0).Add(ttl), nil
}

func (s *scoped) MintVisitor(_ context.Context, plugin, instance string, _ conversation.AccountID, thread, purpose string) (string, time.Time, error) {
	if instance == "" {
		return "", time.Time{}, errors.New("no instance")
	}
	return plugin + "/" + thread + "/" + purpose, time.Unix(60, 0), nil
}

// Through GatewayService a plugin must reach its own things, and nobody else's.
func TestGatewayService(t *testing.T) {
	store := &scoped{values: map[string][]byte{"other/secret": []byte("x")}}
	b, a := newAttached(t, func(o *pluginhost.Options) { o.KV, o.Blobs, o.Grants = store, scopedBlobs{store}, store })
	b.ready(t)
	a.mu.Lock()
	path := a.config.GetGatewaySocket()
	a.mu.Unlock()
	conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	gw, ctx := pluginv1.NewGatewayServiceClient(conn), t.Context()

	if r, err := gw.KVPut(ctx, &pluginv1.KVPutRequest{Key: "k", Value: []byte("v")}); err != nil || r.GetConflict() {
		t.Errorf("put: got %v, %v", r, err)
	}
	if r, err := gw.KVPut(ctx, &pluginv1.KVPutRequest{Key: "k", Conditional: true}); err != nil || !r.GetConflict() {
		t.Errorf("put of a key that must not exist: got %v, %v, want a conflict", r, err)
	}
	if r, err := gw.KVGet(ctx, &pluginv1.KVGetRequest{Key: "k"}); err != nil || string(r.GetValue()) != "v" {
		t.Errorf("get: got %v, %v, want v", r, err)
	}
	if r, err := gw.KVGet(ctx, &pluginv1.KVGetRequest{Key: "secret"}); err != nil || r.GetFound() {
		t.Errorf("another plugin's key: got %v, %v, want none", r, err)
	}
	if r, err := gw.KVList(ctx, &pluginv1.KVListRequest{}); err != nil || len(r.GetKeys()) != 1 {
		t.Errorf("list: got %v, %v, want one key", r, err)
	}
	if _, err := gw.KVDelete(ctx, &pluginv1.KVDeleteRequest{Key: "k"}); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"no key":   second(gw.KVGet(ctx, &pluginv1.KVGetRequest{})),
		"long key": second(gw.KVGet(ctx, &pluginv1.KVGetRequest{Key: strings.Repeat("k", 513)})),
	} {
		if contract.Reason(err) != contract.ReasonInvalid {
			t.Errorf("%s: got %v, want INVALID", name, err)
		}
	}
	if _, err := gw.KVPut(ctx, &pluginv1.KVPutRequest{Key: "k", Value: make([]byte, 64<<10+1)}); contract.Reason(err) != contract.ReasonTooLarge {
		t.Errorf("large value: got %v, want TOO_LARGE", err)
	}

	file, err := putBlob(ctx, gw, b.account.String(), strings.Repeat("x", 600<<10))
	if err != nil || file.GetSize() != 600<<10 {
		t.Fatalf("blob put: got %v, %v, want 600 KiB", file, err)
	}
	if _, err := putBlob(ctx, gw, newAccount().String(), "x"); contract.Reason(err) != contract.ReasonDenied {
		t.Errorf("blob put for a strange account: got %v, want DENIED", err)
	}
	if n, err := getBlob(ctx, gw, file.GetBlob()); err != nil || n != 600<<10 {
		t.Errorf("blob get: got %d bytes, %v, want 600 KiB", n, err)
	}
	for _, cut := range []error{io.ErrUnexpectedEOF, fmt.Errorf("link of the store: %w", io.EOF)} {
		store.mu.Lock()
		store.cut = cut
		store.mu.Unlock()
		if n, err := getBlob(ctx, gw, file.GetBlob()); status.Code(err) != codes.Internal {
			t.Errorf("blob get cut off with %q: got %d bytes, %v, want an error", cut, n, err)
		}
	}
	if _, err := getBlob(ctx, gw, newAccount().String()); contract.Reason(err) != contract.ReasonNotFound {
		t.Errorf("strange blob: got %v, want NOT_FOUND", err)
	}
	if r, err := gw.BlobURL(ctx, &pluginv1.BlobURLRequest{Blob: file.GetBlob(), TtlSeconds: 1e6}); err != nil || r.GetExpires() != time.Hour.Microseconds() {
		t.Errorf("blob url: got %v, %v, want an hour at most", r, err)
	}
	if r, err := gw.MintGrant(ctx, &pluginv1.MintGrantRequest{Account: b.account.String(), Thread: "t", Purpose: "call"}); err != nil || r.GetGrant() != "echo/t/call" {
		t.Errorf("grant: got %v, %v", r, err)
	}
	if _, err := gw.MintGrant(ctx, &pluginv1.MintGrantRequest{Account: newAccount().String()}); contract.Reason(err) != contract.ReasonDenied {
		t.Errorf("grant for a strange account: got %v, want DENIED", err)
	}
}

func second[T any](_ T, err error) error { return err }

func putBlob(ctx context.Context, gw pluginv1.GatewayServiceClient, account, content string) (*pluginv1.File, error) {
	stream, err := gw.BlobPut(ctx)
	if err != nil {
		return nil, err
	}
	meta := &pluginv1.BlobMeta{Account: account, Name: "a.txt", Mime: "text/plain"}
	if err := stream.Send(&pluginv1.BlobPutRequest{Part: &pluginv1.BlobPutRequest_Meta{Meta: meta}}); err != nil {
		return nil, err
	}
	for content != "" {
		n := min(len(content), contract.MaxBlobChunk)
		if err := stream.Send(&pluginv1.BlobPutRequest{Part: &pluginv1.BlobPutRequest_Chunk{Chunk: []byte(content[:n])}}); err != nil {
			break // the answer says why the stream ended
		}
		content = content[n:]
	}
	r, err := stream.CloseAndRecv()
	return r.GetFile(), err
}

func getBlob(ctx context.Context, gw pluginv1.GatewayServiceClient, id string) (n int, err error) {
	stream, err := gw.BlobGet(ctx, &pluginv1.BlobGetRequest{Blob: id})
	if err != nil {
		return 0, err
	}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		n += len(r.GetChunk())
	}
}

// A process of the same user that is not the child must be refused at the child's gateway socket
// (plugin-notes.md 2).
func TestStrangerAtGatewaySocket(t *testing.T) {
	b := newBench(t, nil, self("echo"))
	b.ready(t)
	found, err := filepath.Glob(filepath.Join(b.dir, "plugin-dir*", "gw.sock"))
	if err != nil || len(found) != 1 {
		t.Fatalf("gateway sockets: got %v, %v, want one", found, err)
	}
	conn, err := grpc.NewClient("unix:"+found[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = pluginv1.NewGatewayServiceClient(conn).KVGet(ctx, &pluginv1.KVGetRequest{Key: "k"})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("call of a stranger: got %v, want a refused connection", err)
	}
}
