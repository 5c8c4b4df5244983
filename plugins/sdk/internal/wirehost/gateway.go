package wirehost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// MaxValue bounds a value of the key-value store, in bytes.
const MaxValue = 64 << 10

// Gateway is a GatewayService in memory. The zero value is ready to use.
type Gateway struct {
	pluginv1.UnimplementedGatewayServiceServer

	// Full reports whether attachments cannot be stored now; nil: they can.
	Full func() bool

	mu     sync.Mutex
	values map[string]value
	blobs  map[string]blob
	serial uint64
	grants []*pluginv1.MintGrantRequest
}

type value struct {
	data    []byte
	version uint64
}

type blob struct {
	file *pluginv1.File
	data []byte
}

// KVGet implements GatewayService.
func (g *Gateway) KVGet(_ context.Context, r *pluginv1.KVGetRequest) (*pluginv1.KVGetResponse, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v, ok := g.values[r.GetKey()]
	return &pluginv1.KVGetResponse{Found: ok, Value: v.data, Version: v.version}, nil
}

// KVPut implements GatewayService.
func (g *Gateway) KVPut(_ context.Context, r *pluginv1.KVPutRequest) (*pluginv1.KVPutResponse, error) {
	if len(r.GetValue()) > MaxValue {
		return nil, contract.Error(codes.InvalidArgument, contract.ReasonTooLarge, "value too large")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.values[r.GetKey()]
	if r.GetConditional() && v.version != r.GetIfVersion() {
		return &pluginv1.KVPutResponse{Conflict: true, Version: v.version}, nil
	}
	if g.values == nil {
		g.values = map[string]value{}
	}
	g.serial++
	g.values[r.GetKey()] = value{data: bytes.Clone(r.GetValue()), version: g.serial}
	return &pluginv1.KVPutResponse{Version: g.serial}, nil
}

// KVDelete implements GatewayService.
func (g *Gateway) KVDelete(_ context.Context, r *pluginv1.KVDeleteRequest) (*pluginv1.KVDeleteResponse, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.values, r.GetKey())
	return &pluginv1.KVDeleteResponse{}, nil
}

// KVList implements GatewayService.
func (g *Gateway) KVList(_ context.Context, r *pluginv1.KVListRequest) (*pluginv1.KVListResponse, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := &pluginv1.KVListResponse{}
	for _, k := range slices.Sorted(maps.Keys(g.values)) {
		if r.GetLimit() > 0 && len(out.Keys) == int(r.GetLimit()) {
			break
		}
		if strings.HasPrefix(k, r.GetPrefix()) && k > r.GetAfter() {
			out.Keys = append(out.Keys, k)
		}
	}
	return out, nil
}

// BlobPut implements GatewayService.
func (g *Gateway) BlobPut(stream grpc.ClientStreamingServer[pluginv1.BlobPutRequest, pluginv1.BlobPutResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	meta := first.GetMeta()
	if meta == nil {
		return contract.Error(codes.InvalidArgument, contract.ReasonInvalid, "the first message must carry the meta data")
	}
	var data []byte
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if len(m.GetChunk()) > contract.MaxBlobChunk {
			return contract.Error(codes.InvalidArgument, contract.ReasonTooLarge, "chunk too large")
		}
		data = append(data, m.GetChunk()...)
	}
	if g.Full != nil && g.Full() {
		return contract.Error(codes.Unavailable, contract.ReasonNotDurable, "cannot be stored now")
	}
	g.mu.Lock()
	g.serial++
	f := &pluginv1.File{
		Blob: fmt.Sprintf("blob-%d", g.serial), Name: meta.GetName(), Mime: meta.GetMime(), Size: uint64(len(data)),
	}
	if g.blobs == nil {
		g.blobs = map[string]blob{}
	}
	g.blobs[f.Blob] = blob{file: f, data: data}
	g.mu.Unlock()
	return stream.SendAndClose(&pluginv1.BlobPutResponse{File: f})
}

func (g *Gateway) blob(id string) (blob, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b, ok := g.blobs[id]
	if !ok {
		return blob{}, contract.Error(codes.NotFound, contract.ReasonNotFound, "no such blob")
	}
	return b, nil
}

// BlobGet implements GatewayService.
func (g *Gateway) BlobGet(r *pluginv1.BlobGetRequest, stream grpc.ServerStreamingServer[pluginv1.BlobGetResponse]) error {
	b, err := g.blob(r.GetBlob())
	if err != nil {
		return err
	}
	if err := stream.Send(&pluginv1.BlobGetResponse{Part: &pluginv1.BlobGetResponse_Meta{Meta: b.file}}); err != nil {
		return err
	}
	for chunk := range slices.Chunk(b.data, contract.MaxBlobChunk) {
		if err := stream.Send(&pluginv1.BlobGetResponse{Part: &pluginv1.BlobGetResponse_Chunk{Chunk: chunk}}); err != nil {
			return err
		}
	}
	return nil
}

// BlobURL implements GatewayService.
func (g *Gateway) BlobURL(_ context.Context, r *pluginv1.BlobURLRequest) (*pluginv1.BlobURLResponse, error) {
	b, err := g.blob(r.GetBlob())
	if err != nil {
		return nil, err
	}
	return &pluginv1.BlobURLResponse{
		Url:     "http://files.localhost/" + b.file.GetBlob(),
		Expires: time.Now().Add(time.Duration(r.GetTtlSeconds()) * time.Second).UnixMicro(),
	}, nil
}

// MintGrant implements GatewayService.
func (g *Gateway) MintGrant(_ context.Context, r *pluginv1.MintGrantRequest) (*pluginv1.MintGrantResponse, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.grants = append(g.grants, r)
	return &pluginv1.MintGrantResponse{
		Grant: fmt.Sprintf("grant-%d", len(g.grants)), Expires: time.Now().Add(time.Minute).UnixMicro(),
	}, nil
}
