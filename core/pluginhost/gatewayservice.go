package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost/wire"
	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/contract/peercred"
)

// Limits of GatewayService.
const (
	maxKVKey      = 512       // bytes
	maxKVValue    = 64 << 10  // bytes
	maxKVList     = 1000      // keys in one answer
	maxBlobTTL    = time.Hour // longest validity of a URL from BlobURL
	defaultURLTTL = 5 * time.Minute
)

// gatewayServer serves GatewayService to one generation on a socket in its directory.
type gatewayServer struct {
	path   string
	server *grpc.Server
	wg     sync.WaitGroup
}

func newGatewayServer(path string, check func(peercred.Peer) error, service pluginv1.GatewayServiceServer, mended func()) (*gatewayServer, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("socket path of %d bytes, the limit is %d", len(path), maxSocketPath)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "unix", path) // returns at once
	if err != nil {
		return nil, fmt.Errorf("gateway socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("gateway socket: %w", err)
	}
	g := &gatewayServer{path: path, server: grpc.NewServer(
		grpc.Creds(peercred.New(check)),
		grpc.MaxRecvMsgSize(contract.MaxMessageSize), grpc.MaxSendMsgSize(contract.MaxMessageSize),
		grpc.MaxConcurrentStreams(256), grpc.ForceServerCodecV2(contract.NewCodec(mended)),
	)}
	pluginv1.RegisterGatewayServiceServer(g.server, service)
	g.wg.Go(func() { _ = g.server.Serve(l) }) // returns after Stop
	return g, nil
}

func (g *gatewayServer) close() {
	g.server.Stop()
	g.wg.Wait()
}

// gatewayService is what a plugin may ask of the gateway, limited to its own accounts and data.
type gatewayService struct {
	pluginv1.UnimplementedGatewayServiceServer
	plugin, instance string
	owned            func() []conversation.AccountID
	owns             func(conversation.AccountID) bool
	blobs            plugin.Blobs
	grants           plugin.Granter
	kv               plugin.KV
}

func (g *gatewayService) failed(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return contract.Error(codes.Canceled, "", "caller gave up")
	case errors.Is(err, plugin.ErrNotFound):
		return contract.Error(codes.NotFound, contract.ReasonNotFound, "not found")
	case errors.Is(err, plugin.ErrDenied):
		return contract.Error(codes.PermissionDenied, contract.ReasonDenied, "not the plugin's own")
	case errors.Is(err, plugin.ErrTooLarge):
		return contract.Error(codes.ResourceExhausted, contract.ReasonTooLarge, "too large")
	case errors.Is(err, plugin.ErrNotDurable):
		return contract.Error(codes.Unavailable, contract.ReasonNotDurable, "cannot be stored now")
	default:
		return contract.Error(codes.Internal, "", "gateway error")
	}
}

func checkKey(key string) error {
	if key == "" || len(key) > maxKVKey {
		return contract.Error(codes.InvalidArgument, contract.ReasonInvalid, fmt.Sprintf("key: want 1 to %d bytes, got %d", maxKVKey, len(key)))
	}
	return nil
}

// KVGet implements GatewayService.
func (g *gatewayService) KVGet(ctx context.Context, r *pluginv1.KVGetRequest) (*pluginv1.KVGetResponse, error) {
	if g.kv == nil {
		return g.UnimplementedGatewayServiceServer.KVGet(ctx, r)
	}
	if err := checkKey(r.GetKey()); err != nil {
		return nil, err
	}
	value, version, found, err := g.kv.Get(ctx, g.plugin, r.GetKey())
	if err != nil {
		return nil, g.failed(ctx, err)
	}
	return &pluginv1.KVGetResponse{Found: found, Value: value, Version: version}, nil
}

// KVPut implements GatewayService.
func (g *gatewayService) KVPut(ctx context.Context, r *pluginv1.KVPutRequest) (*pluginv1.KVPutResponse, error) {
	if g.kv == nil {
		return g.UnimplementedGatewayServiceServer.KVPut(ctx, r)
	}
	if err := checkKey(r.GetKey()); err != nil {
		return nil, err
	}
	if len(r.GetValue()) > maxKVValue {
		return nil, g.failed(ctx, plugin.ErrTooLarge)
	}
	version, ok, err := g.kv.Put(ctx, g.plugin, r.GetKey(), r.GetValue(), r.GetIfVersion(), r.GetConditional())
	if err != nil {
		return nil, g.failed(ctx, err)
	}
	return &pluginv1.KVPutResponse{Conflict: !ok, Version: version}, nil
}

// KVDelete implements GatewayService.
func (g *gatewayService) KVDelete(ctx context.Context, r *pluginv1.KVDeleteRequest) (*pluginv1.KVDeleteResponse, error) {
	if g.kv == nil {
		return g.UnimplementedGatewayServiceServer.KVDelete(ctx, r)
	}
	if err := checkKey(r.GetKey()); err != nil {
		return nil, err
	}
	if err := g.kv.Delete(ctx, g.plugin, r.GetKey()); err != nil {
		return nil, g.failed(ctx, err)
	}
	return &pluginv1.KVDeleteResponse{}, nil
}

// KVList implements GatewayService.
func (g *gatewayService) KVList(ctx context.Context, r *pluginv1.KVListRequest) (*pluginv1.KVListResponse, error) {
	if g.kv == nil {
		return g.UnimplementedGatewayServiceServer.KVList(ctx, r)
	}
	limit := int(min(r.GetLimit(), maxKVList))
	if limit == 0 {
		limit = maxKVList
	}
	keys, err := g.kv.List(ctx, g.plugin, r.GetPrefix(), r.GetAfter(), limit)
	if err != nil {
		return nil, g.failed(ctx, err)
	}
	return &pluginv1.KVListResponse{Keys: keys}, nil
}

// BlobPut implements GatewayService.
func (g *gatewayService) BlobPut(stream grpc.ClientStreamingServer[pluginv1.BlobPutRequest, pluginv1.BlobPutResponse]) error {
	if g.blobs == nil {
		return g.UnimplementedGatewayServiceServer.BlobPut(stream)
	}
	ctx := stream.Context()
	first, err := stream.Recv()
	if err != nil {
		return contract.Error(codes.InvalidArgument, contract.ReasonInvalid, "no meta data")
	}
	meta := first.GetMeta()
	var account conversation.AccountID
	if meta == nil || wire.ParseID(&account, meta.GetAccount()) != nil {
		return contract.Error(codes.InvalidArgument, contract.ReasonInvalid, "meta data with an account come first")
	}
	if !g.owns(account) {
		return g.failed(ctx, plugin.ErrDenied)
	}
	file, err := g.blobs.Put(ctx, account, meta.GetThread(), meta.GetName(), meta.GetMime(), &chunkReader{stream: stream})
	if err != nil {
		return g.failed(ctx, err)
	}
	if err := stream.SendAndClose(&pluginv1.BlobPutResponse{File: wire.FromFile(file)}); err != nil {
		return g.failed(ctx, err)
	}
	return nil
}

// chunkReader reads the chunks of a BlobPut.
type chunkReader struct {
	stream grpc.ClientStreamingServer[pluginv1.BlobPutRequest, pluginv1.BlobPutResponse]
	rest   []byte
}

func (r *chunkReader) Read(b []byte) (int, error) {
	for len(r.rest) == 0 {
		m, err := r.stream.Recv()
		if errors.Is(err, io.EOF) {
			return 0, io.EOF
		}
		if err != nil {
			return 0, fmt.Errorf("blob chunk: %w", err)
		}
		if len(m.GetChunk()) > contract.MaxBlobChunk {
			return 0, fmt.Errorf("blob chunk: %w", plugin.ErrTooLarge)
		}
		r.rest = m.GetChunk()
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// BlobGet implements GatewayService.
func (g *gatewayService) BlobGet(r *pluginv1.BlobGetRequest, stream grpc.ServerStreamingServer[pluginv1.BlobGetResponse]) error {
	if g.blobs == nil {
		return g.UnimplementedGatewayServiceServer.BlobGet(r, stream)
	}
	ctx := stream.Context()
	var id conversation.BlobID
	if wire.ParseID(&id, r.GetBlob()) != nil {
		return g.failed(ctx, plugin.ErrNotFound)
	}
	file, body, err := g.blobs.Get(ctx, g.owned(), id)
	if err != nil {
		return g.failed(ctx, err)
	}
	defer func() { _ = body.Close() }()
	meta := &pluginv1.BlobGetResponse{Part: &pluginv1.BlobGetResponse_Meta{Meta: wire.FromFile(file)}}
	if err := stream.Send(meta); err != nil {
		return g.failed(ctx, err)
	}
	for {
		buf := make([]byte, contract.MaxBlobChunk) // a new buffer each time, since gRPC may keep the one that it is sending
		n, end, err := contract.ReadChunk(body, buf)
		if err == nil && n > 0 {
			err = stream.Send(&pluginv1.BlobGetResponse{Part: &pluginv1.BlobGetResponse_Chunk{Chunk: buf[:n]}})
		}
		if err != nil {
			return g.failed(ctx, err)
		}
		if end {
			return nil
		}
	}
}

// BlobURL implements GatewayService.
func (g *gatewayService) BlobURL(ctx context.Context, r *pluginv1.BlobURLRequest) (*pluginv1.BlobURLResponse, error) {
	if g.blobs == nil {
		return g.UnimplementedGatewayServiceServer.BlobURL(ctx, r)
	}
	var id conversation.BlobID
	if wire.ParseID(&id, r.GetBlob()) != nil {
		return nil, g.failed(ctx, plugin.ErrNotFound)
	}
	ttl := min(maxBlobTTL, time.Duration(r.GetTtlSeconds())*time.Second)
	if ttl == 0 {
		ttl = defaultURLTTL
	}
	url, expires, err := g.blobs.URL(ctx, g.owned(), id, ttl, r.GetThumbnail())
	if err != nil {
		return nil, g.failed(ctx, err)
	}
	return &pluginv1.BlobURLResponse{Url: url, Expires: wire.ToMicros(expires)}, nil
}

// MintGrant implements GatewayService.
func (g *gatewayService) MintGrant(ctx context.Context, r *pluginv1.MintGrantRequest) (*pluginv1.MintGrantResponse, error) {
	if g.grants == nil {
		return g.UnimplementedGatewayServiceServer.MintGrant(ctx, r)
	}
	var account conversation.AccountID
	if wire.ParseID(&account, r.GetAccount()) != nil || !g.owns(account) {
		return nil, g.failed(ctx, plugin.ErrDenied)
	}
	grant, expires, err := g.grants.MintVisitor(ctx, g.plugin, g.instance, account, r.GetThread(), r.GetPurpose())
	if err != nil {
		return nil, g.failed(ctx, err)
	}
	return &pluginv1.MintGrantResponse{Grant: grant, Expires: wire.ToMicros(expires)}, nil
}
