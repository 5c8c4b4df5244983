package hosttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Limits of the plugin's store, in bytes.
const (
	maxKey   = 512
	maxValue = 64 << 10
)

// maxURL is how long the URL of an attachment may be valid: an hour, and the time that a host adds
// so that an attachment keeps the same URL for a while.
const maxURL = time.Hour + 10*time.Minute

// refused checks that a call failed with this gRPC code and this reason of the contract.
func refused(t *testing.T, what string, err error, code codes.Code, reason string) {
	t.Helper()
	if grpcstatus.Code(err) != code || contract.Reason(err) != reason {
		t.Errorf("%s: got %v (%s), want %v (%s)", what, err, contract.Reason(err), code, reason)
	}
}

func errorOf[T any](_ T, err error) error { return err }

func store(t *testing.T, h *Host) {
	ctx, gw := t.Context(), h.Gateway
	get := func(key string) *pluginv1.KVGetResponse {
		t.Helper()
		r, err := gw.KVGet(ctx, &pluginv1.KVGetRequest{Key: key})
		if err != nil {
			t.Fatalf("get %s: %v", key, err)
		}
		return r
	}
	put := func(r *pluginv1.KVPutRequest) *pluginv1.KVPutResponse {
		t.Helper()
		resp, err := gw.KVPut(ctx, r)
		if err != nil {
			t.Fatalf("put %s: %v", r.GetKey(), err)
		}
		return resp
	}
	t.Run("keys", func(t *testing.T) {
		for name, key := range map[string]string{"no key": "", "long key": strings.Repeat("k", maxKey+1)} {
			refused(t, "get of "+name, errorOf(gw.KVGet(ctx, &pluginv1.KVGetRequest{Key: key})), codes.InvalidArgument, contract.ReasonInvalid)
			refused(t, "put of "+name, errorOf(gw.KVPut(ctx, &pluginv1.KVPutRequest{Key: key})), codes.InvalidArgument, contract.ReasonInvalid)
			refused(t, "delete of "+name, errorOf(gw.KVDelete(ctx, &pluginv1.KVDeleteRequest{Key: key})), codes.InvalidArgument, contract.ReasonInvalid)
		}
	})
	t.Run("sizes", func(t *testing.T) {
		key := strings.Repeat("k", maxKey)
		put(&pluginv1.KVPutRequest{Key: key, Value: make([]byte, maxValue)})
		if got := get(key); !got.GetFound() || len(got.GetValue()) != maxValue {
			t.Errorf("the largest value: got %d bytes", len(got.GetValue()))
		}
		refused(t, "put of a larger value", errorOf(gw.KVPut(ctx, &pluginv1.KVPutRequest{Key: key, Value: make([]byte, maxValue+1)})), codes.ResourceExhausted, contract.ReasonTooLarge)
		if got := get(key); len(got.GetValue()) != maxValue {
			t.Errorf("after a refused put: got %d bytes", len(got.GetValue()))
		}
	})
	t.Run("versions", func(t *testing.T) {
		if r := get("v"); r.GetFound() || r.GetVersion() != 0 {
			t.Errorf("get of nothing: got %v", r)
		}
		if r := put(&pluginv1.KVPutRequest{Key: "v", Value: []byte("a"), IfVersion: 7, Conditional: true}); !r.GetConflict() || r.GetVersion() != 0 {
			t.Errorf("put over a version that nobody wrote: got %v, want a conflict with version 0", r)
		}
		first := put(&pluginv1.KVPutRequest{Key: "v", Value: []byte("a"), Conditional: true})
		if first.GetConflict() || first.GetVersion() != 1 {
			t.Errorf("first put: got %v, want version 1", first)
		}
		if r := put(&pluginv1.KVPutRequest{Key: "v", Value: []byte("b"), Conditional: true}); !r.GetConflict() || r.GetVersion() != 1 {
			t.Errorf("put of a key that must not exist: got %v, want a conflict with version 1", r)
		}
		if r := put(&pluginv1.KVPutRequest{Key: "v", Value: []byte("b"), IfVersion: 1, Conditional: true}); r.GetConflict() || r.GetVersion() != 2 {
			t.Errorf("put over version 1: got %v, want version 2", r)
		}
		if r := get("v"); string(r.GetValue()) != "b" || r.GetVersion() != 2 {
			t.Errorf("get: got %v, want b in version 2", r)
		}
		for range 2 { // the second time there is nothing to delete
			if _, err := gw.KVDelete(ctx, &pluginv1.KVDeleteRequest{Key: "v"}); err != nil {
				t.Errorf("delete: %v", err)
			}
		}
		if r := put(&pluginv1.KVPutRequest{Key: "v", Value: []byte("c")}); r.GetVersion() != 1 {
			t.Errorf("put after a delete: got %v, want version 1", r)
		}
	})
	t.Run("lists", func(t *testing.T) {
		for _, k := range []string{"l/c", "l/a", "l/b", "m/a"} {
			put(&pluginv1.KVPutRequest{Key: k})
		}
		for name, c := range map[string]struct {
			after string
			limit uint32
			want  []string
		}{
			"all": {"", 0, []string{"l/a", "l/b", "l/c"}}, "some": {"", 2, []string{"l/a", "l/b"}}, "the rest": {"l/b", 5, []string{"l/c"}}, "no more": {"l/c", 5, nil},
		} {
			r, err := gw.KVList(ctx, &pluginv1.KVListRequest{Prefix: "l/", After: c.after, Limit: c.limit})
			if err != nil || !slices.Equal(r.GetKeys(), c.want) {
				t.Errorf("%s: got %v %v, want %v", name, r.GetKeys(), err, c.want)
			}
		}
	})
}

func putBlob(ctx context.Context, gw pluginv1.GatewayServiceClient, messages ...*pluginv1.BlobPutRequest) (*pluginv1.File, error) {
	stream, err := gw.BlobPut(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if stream.Send(m) != nil {
			break // the answer says why the stream ended
		}
	}
	r, err := stream.CloseAndRecv()
	return r.GetFile(), err
}

func metaData(account, thread string) *pluginv1.BlobPutRequest {
	return &pluginv1.BlobPutRequest{Part: &pluginv1.BlobPutRequest_Meta{Meta: &pluginv1.BlobMeta{Account: account, Thread: thread, Name: "a.txt", Mime: "text/plain"}}}
}

func chunk(b []byte) *pluginv1.BlobPutRequest {
	return &pluginv1.BlobPutRequest{Part: &pluginv1.BlobPutRequest_Chunk{Chunk: b}}
}

func getBlob(ctx context.Context, gw pluginv1.GatewayServiceClient, id string) (data []byte, err error) {
	stream, err := gw.BlobGet(ctx, &pluginv1.BlobGetRequest{Blob: id})
	if err != nil {
		return nil, err
	}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return data, err
		}
		data = append(data, r.GetChunk()...)
	}
}

func blobs(t *testing.T, h *Host) {
	ctx, gw := t.Context(), h.Gateway
	some := bytes.Repeat([]byte("words "), 1000)
	t.Run("stored", func(t *testing.T) {
		for name, thread := range map[string]string{"of the account": "", "of a thread": "blob thread"} {
			f, err := putBlob(ctx, gw, metaData(h.Account, thread), chunk(some[:100]), chunk(some[100:]))
			if err != nil || f.GetSize() != uint64(len(some)) || f.GetName() != "a.txt" {
				t.Fatalf("put %s: got %v, %v", name, f, err)
			}
			if got, err := getBlob(ctx, gw, f.GetBlob()); err != nil || !bytes.Equal(got, some) {
				t.Errorf("get %s: got %d bytes, %v", name, len(got), err)
			}
			if r, err := gw.BlobURL(ctx, &pluginv1.BlobURLRequest{Blob: f.GetBlob(), TtlSeconds: 1e6}); err != nil || r.GetUrl() == "" || time.UnixMicro(r.GetExpires()).After(time.Now().Add(maxURL)) {
				t.Errorf("url %s: got %v, %v, want one for an hour at most", name, r, err)
			}
			if r, err := gw.BlobURL(ctx, &pluginv1.BlobURLRequest{Blob: f.GetBlob()}); err != nil || !time.UnixMicro(r.GetExpires()).After(time.Now()) {
				t.Errorf("url %s for as long as the host likes: got %v, %v", name, r, err)
			}
		}
	})
	t.Run("refused", func(t *testing.T) {
		refused(t, "put without anything", errorOf(putBlob(ctx, gw)), codes.InvalidArgument, contract.ReasonInvalid)
		refused(t, "put without meta data", errorOf(putBlob(ctx, gw, chunk(some))), codes.InvalidArgument, contract.ReasonInvalid)
		refused(t, "put without an account", errorOf(putBlob(ctx, gw, metaData("", ""), chunk(some))), codes.InvalidArgument, contract.ReasonInvalid)
		refused(t, "put for nobody's account", errorOf(putBlob(ctx, gw, metaData(nobody, ""), chunk(some))), codes.PermissionDenied, contract.ReasonDenied)
		refused(t, "put of an empty file", errorOf(putBlob(ctx, gw, metaData(h.Account, ""))), codes.PermissionDenied, contract.ReasonDenied)
		refused(t, "put of an empty chunk", errorOf(putBlob(ctx, gw, metaData(h.Account, ""), chunk(nil))), codes.PermissionDenied, contract.ReasonDenied)
		refused(t, "put of a large chunk", errorOf(putBlob(ctx, gw, metaData(h.Account, ""), chunk(make([]byte, contract.MaxBlobChunk+1)))), codes.ResourceExhausted, contract.ReasonTooLarge)
		for _, id := range []string{"", "b", nobody} {
			refused(t, "get of "+id, errorOf(getBlob(ctx, gw, id)), codes.NotFound, contract.ReasonNotFound)
			refused(t, "url of "+id, errorOf(gw.BlobURL(ctx, &pluginv1.BlobURLRequest{Blob: id})), codes.NotFound, contract.ReasonNotFound)
		}
	})
}

func grants(t *testing.T, h *Host) {
	ctx, gw := t.Context(), h.Gateway
	mint := func(account, thread, purpose string) (string, error) {
		r, err := gw.MintGrant(ctx, &pluginv1.MintGrantRequest{Account: account, Thread: thread, Purpose: purpose})
		if err == nil && !time.UnixMicro(r.GetExpires()).After(time.Now()) {
			t.Errorf("grant: got %v, want one that is valid for a while", r)
		}
		return r.GetGrant(), err
	}
	t.Run("used once", func(t *testing.T) {
		first, err := mint(h.Account, "grant thread", "upload")
		if err != nil {
			t.Fatal(err)
		}
		second, err := mint(h.Account, "grant thread", "upload")
		if err != nil || first == second {
			t.Fatalf("second grant: got %v, the same as the first: %v", err, first == second)
		}
		for i, want := range []bool{true, false} {
			if got := h.Redeem(first); got != want {
				t.Errorf("use %d of the first grant: got %v, want %v", i+1, got, want)
			}
		}
		if !h.Redeem(second) {
			t.Error("the second grant is of no use after the first was used")
		}
		if h.Redeem("grant") || h.Redeem("") {
			t.Error("a grant that was never minted opened something")
		}
	})
	t.Run("refused", func(t *testing.T) {
		for name, account := range map[string]string{"nobody's": nobody, "no": ""} {
			refused(t, "grant for "+name+" account", errorOf(mint(account, "t", "upload")), codes.PermissionDenied, contract.ReasonDenied)
		}
		refused(t, "grant for no purpose", errorOf(mint(h.Account, "t", "")), codes.Internal, "")
	})
}
