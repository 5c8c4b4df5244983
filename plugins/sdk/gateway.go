package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// gateway is the client of the host's GatewayService. The zero value has no socket yet.
type gateway struct {
	mu     sync.Mutex
	socket string
	conn   *grpc.ClientConn
}

// use connects to socket, or keeps the connection if the socket is the same.
func (g *gateway) use(socket string, creds credentials.TransportCredentials, mended func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if socket == g.socket {
		return
	}
	if g.conn != nil {
		_ = g.conn.Close()
		g.conn = nil
	}
	g.socket = socket
	if socket == "" {
		return
	}
	// NewClient connects at the first call and fails only for a malformed target.
	conn, err := grpc.NewClient("unix:"+socket,
		grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(contract.MaxMessageSize), grpc.MaxCallSendMsgSize(contract.MaxMessageSize),
			grpc.ForceCodecV2(contract.NewCodec(mended))),
	)
	if err == nil {
		g.conn = conn
	}
}

func (g *gateway) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conn != nil {
		_ = g.conn.Close()
		g.conn = nil
	}
}

func (g *gateway) client() (pluginv1.GatewayServiceClient, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conn == nil {
		return nil, fmt.Errorf("gateway service: %w", ErrHostGone)
	}
	return pluginv1.NewGatewayServiceClient(g.conn), nil
}

// gatewayError returns the sentinel for an error that came over the wire, and ErrHostGone when the
// host is gone.
func gatewayError(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
	switch contract.Reason(err) {
	case contract.ReasonNotFound:
		return fmt.Errorf("%s: %w", op, ErrNotFound)
	case contract.ReasonConflict:
		return fmt.Errorf("%s: %w", op, ErrConflict)
	case contract.ReasonTooLarge:
		return fmt.Errorf("%s: %w", op, ErrTooLarge)
	case contract.ReasonDenied:
		return fmt.Errorf("%s: %w", op, ErrDenied)
	case contract.ReasonNotDurable:
		return fmt.Errorf("%s: %w", op, ErrNotDurable)
	}
	if status.Code(err) == codes.Unavailable {
		return fmt.Errorf("%s: %w: %w", op, ErrHostGone, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}

// MintGrant implements Host.
func (h *host) MintGrant(ctx context.Context, account AccountID, thread ThreadID, purpose string) (Grant, error) {
	const op = "mint grant"
	c, err := h.srv.gateway.client()
	if err != nil {
		return Grant{}, err
	}
	r, err := c.MintGrant(ctx, &pluginv1.MintGrantRequest{Account: string(account), Thread: string(thread), Purpose: purpose})
	if err != nil {
		return Grant{}, gatewayError(ctx, op, err)
	}
	return Grant{Token: NewSecret(r.GetGrant()), Expires: timeOf(r.GetExpires())}, nil
}

type kv struct{ gw *gateway }

func (k kv) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	const op = "kv get"
	c, err := k.gw.client()
	if err != nil {
		return nil, 0, err
	}
	r, err := c.KVGet(ctx, &pluginv1.KVGetRequest{Key: key})
	if err != nil {
		return nil, 0, gatewayError(ctx, op, err)
	}
	if !r.GetFound() {
		return nil, 0, fmt.Errorf("%s: %w", op, ErrNotFound)
	}
	return r.GetValue(), r.GetVersion(), nil
}

func (k kv) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	return k.put(ctx, &pluginv1.KVPutRequest{Key: key, Value: value})
}

func (k kv) PutIf(ctx context.Context, key string, value []byte, version uint64) (uint64, error) {
	return k.put(ctx, &pluginv1.KVPutRequest{Key: key, Value: value, IfVersion: version, Conditional: true})
}

func (k kv) put(ctx context.Context, req *pluginv1.KVPutRequest) (uint64, error) {
	const op = "kv put"
	c, err := k.gw.client()
	if err != nil {
		return 0, err
	}
	r, err := c.KVPut(ctx, req)
	if err != nil {
		return 0, gatewayError(ctx, op, err)
	}
	if r.GetConflict() {
		return r.GetVersion(), fmt.Errorf("%s: %w", op, ErrConflict)
	}
	return r.GetVersion(), nil
}

func (k kv) Delete(ctx context.Context, key string) error {
	c, err := k.gw.client()
	if err != nil {
		return err
	}
	_, err = c.KVDelete(ctx, &pluginv1.KVDeleteRequest{Key: key})
	return gatewayError(ctx, "kv delete", err)
}

func (k kv) List(ctx context.Context, prefix, after string, limit uint32) ([]string, error) {
	c, err := k.gw.client()
	if err != nil {
		return nil, err
	}
	r, err := c.KVList(ctx, &pluginv1.KVListRequest{Prefix: prefix, After: after, Limit: limit})
	return r.GetKeys(), gatewayError(ctx, "kv list", err)
}

type blobs struct{ gw *gateway }

func (b blobs) Put(ctx context.Context, meta BlobMeta, r io.Reader) (File, error) {
	const op = "blob put"
	c, err := b.gw.client()
	if err != nil {
		return File{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends an upload that the reader broke off
	stream, err := c.BlobPut(ctx)
	if err != nil {
		return File{}, gatewayError(ctx, op, err)
	}
	err = stream.Send(&pluginv1.BlobPutRequest{Part: &pluginv1.BlobPutRequest_Meta{Meta: &pluginv1.BlobMeta{
		Account: string(meta.Account), Thread: string(meta.Thread), Name: meta.Name, Mime: meta.MIME,
	}}})
	chunk := make([]byte, 64<<10)
	for err == nil {
		n, end, rerr := contract.ReadChunk(r, chunk)
		if rerr != nil {
			return File{}, fmt.Errorf("%s: read: %w", op, rerr)
		}
		if n > 0 {
			err = stream.Send(&pluginv1.BlobPutRequest{Part: &pluginv1.BlobPutRequest_Chunk{Chunk: chunk[:n]}})
		}
		if end {
			break
		}
	}
	if err != nil && !errors.Is(err, io.EOF) { // EOF: the host has answered already
		return File{}, gatewayError(ctx, op, err)
	}
	resp, err := stream.CloseAndRecv()
	if err != nil {
		return File{}, gatewayError(ctx, op, err)
	}
	return fileFromWire(resp.GetFile()), nil
}

func (b blobs) Get(ctx context.Context, id BlobID) (File, io.ReadCloser, error) {
	const op = "blob get"
	c, err := b.gw.client()
	if err != nil {
		return File{}, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	stream, err := c.BlobGet(ctx, &pluginv1.BlobGetRequest{Blob: string(id)})
	if err != nil {
		cancel()
		return File{}, nil, gatewayError(ctx, op, err)
	}
	first, err := stream.Recv()
	if err != nil {
		err = gatewayError(ctx, op, err)
		cancel()
		return File{}, nil, err
	}
	if first.GetMeta() == nil {
		cancel()
		return File{}, nil, fmt.Errorf("%s: the first answer has no meta data", op)
	}
	return fileFromWire(first.GetMeta()), &blobReader{ctx: ctx, stream: stream, cancel: cancel}, nil
}

// blobReader reads the chunks of a BlobGet.
type blobReader struct {
	ctx    context.Context //nolint:containedctx // a reader has no other place for its call's context
	stream grpc.ServerStreamingClient[pluginv1.BlobGetResponse]
	cancel context.CancelFunc
	rest   []byte
}

func (r *blobReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		m, err := r.stream.Recv()
		if errors.Is(err, io.EOF) {
			return 0, io.EOF
		}
		if err != nil {
			return 0, gatewayError(r.ctx, "blob get", err)
		}
		r.rest = m.GetChunk()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *blobReader) Close() error {
	r.cancel()
	return nil
}

func (b blobs) URL(ctx context.Context, id BlobID, ttl time.Duration, thumbnail bool) (string, time.Time, error) {
	c, err := b.gw.client()
	if err != nil {
		return "", time.Time{}, err
	}
	r, err := c.BlobURL(ctx, &pluginv1.BlobURLRequest{
		Blob: string(id), TtlSeconds: uint32((ttl + time.Second - 1) / time.Second), Thumbnail: thumbnail,
	})
	if err != nil {
		return "", time.Time{}, gatewayError(ctx, "blob url", err)
	}
	return r.GetUrl(), timeOf(r.GetExpires()), nil
}
