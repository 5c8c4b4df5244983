package memgateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // sizes of pictures
	_ "image/png"  // sizes of pictures
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

// Limits of the service.
const (
	maxKey   = 512 // bytes
	maxValue = 64 << 10
	maxList  = 1000 // number of keys in one answer
	maxURL   = time.Hour
	usualURL = 5 * time.Minute
)

// Service is a GatewayService in memory. The zero value is ready to use. Safe for concurrent use.
type Service struct {
	pluginv1.UnimplementedGatewayServiceServer

	// Owns reports whether an account belongs to the plugin; nil: every account does.
	Owns func(account string) bool
	// URL returns where an attachment can be fetched; nil: URLs name a host that does not exist.
	URL func(blob string) string

	// Full reports whether attachments cannot be stored now; nil: they can.
	Full func() bool

	mu     sync.Mutex
	values map[string]value
	blobs  map[string]blob
	grants map[string]*pluginv1.MintGrantRequest // grants that were not used yet
}

type value struct {
	data    []byte
	version uint64
}

type blob struct {
	file    *pluginv1.File
	account string
	data    []byte
}

func (g *Service) owns(account string) bool {
	return account != "" && (g.Owns == nil || g.Owns(account))
}

func denied() error {
	return contract.Error(codes.PermissionDenied, contract.ReasonDenied, "not the plugin's own")
}

func checkKey(key string) error {
	if key == "" || len(key) > maxKey {
		return contract.Error(codes.InvalidArgument, contract.ReasonInvalid, fmt.Sprintf("key: want 1 to %d bytes, got %d", maxKey, len(key)))
	}
	return nil
}

// KVGet implements GatewayService.
func (g *Service) KVGet(_ context.Context, r *pluginv1.KVGetRequest) (*pluginv1.KVGetResponse, error) {
	if err := checkKey(r.GetKey()); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	v, ok := g.values[r.GetKey()]
	return &pluginv1.KVGetResponse{Found: ok, Value: v.data, Version: v.version}, nil
}

// KVPut implements GatewayService.
func (g *Service) KVPut(_ context.Context, r *pluginv1.KVPutRequest) (*pluginv1.KVPutResponse, error) {
	if err := checkKey(r.GetKey()); err != nil {
		return nil, err
	}
	if len(r.GetValue()) > maxValue {
		return nil, contract.Error(codes.ResourceExhausted, contract.ReasonTooLarge, "too large")
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
	v = value{data: bytes.Clone(r.GetValue()), version: v.version + 1}
	g.values[r.GetKey()] = v
	return &pluginv1.KVPutResponse{Version: v.version}, nil
}

// KVDelete implements GatewayService.
func (g *Service) KVDelete(_ context.Context, r *pluginv1.KVDeleteRequest) (*pluginv1.KVDeleteResponse, error) {
	if err := checkKey(r.GetKey()); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.values, r.GetKey())
	return &pluginv1.KVDeleteResponse{}, nil
}

// KVList implements GatewayService.
func (g *Service) KVList(_ context.Context, r *pluginv1.KVListRequest) (*pluginv1.KVListResponse, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := &pluginv1.KVListResponse{}
	limit := int(min(r.GetLimit(), maxList))
	if limit == 0 {
		limit = maxList
	}
	for _, k := range slices.Sorted(maps.Keys(g.values)) {
		if len(out.Keys) == limit {
			break
		}
		if strings.HasPrefix(k, r.GetPrefix()) && k > r.GetAfter() {
			out.Keys = append(out.Keys, k)
		}
	}
	return out, nil
}

// BlobPut implements GatewayService.
func (g *Service) BlobPut(stream grpc.ClientStreamingServer[pluginv1.BlobPutRequest, pluginv1.BlobPutResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return contract.Error(codes.InvalidArgument, contract.ReasonInvalid, "no meta data")
	}
	meta := first.GetMeta()
	if meta.GetAccount() == "" {
		return contract.Error(codes.InvalidArgument, contract.ReasonInvalid, "meta data with an account come first")
	}
	if !g.owns(meta.GetAccount()) {
		return denied()
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
			return contract.Error(codes.ResourceExhausted, contract.ReasonTooLarge, "too large")
		}
		data = append(data, m.GetChunk()...)
	}
	if len(data) == 0 {
		return denied()
	}
	if g.Full != nil && g.Full() {
		return contract.Error(codes.Unavailable, contract.ReasonNotDurable, "cannot be stored now")
	}
	return stream.SendAndClose(&pluginv1.BlobPutResponse{File: g.keep(meta, data)})
}

// keep stores an attachment. The type that the sender names is kept only when the data do not tell
// it.
func (g *Service) keep(meta *pluginv1.BlobMeta, data []byte) *pluginv1.File {
	f := &pluginv1.File{Blob: newID(), Name: meta.GetName(), Mime: meta.GetMime(), Size: uint64(len(data))}
	if pic, kind, err := image.DecodeConfig(bytes.NewReader(data)); err == nil {
		f.Mime, f.Width, f.Height = "image/"+kind, uint32(max(pic.Width, 0)), uint32(max(pic.Height, 0))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.blobs == nil {
		g.blobs = map[string]blob{}
	}
	g.blobs[f.Blob] = blob{file: f, account: meta.GetAccount(), data: data}
	return f
}

// Blob returns a stored attachment; ok is false when there is none.
func (g *Service) Blob(id string) (file *pluginv1.File, data []byte, ok bool) {
	b, err := g.blob(id)
	return b.file, b.data, err == nil
}

func (g *Service) blob(id string) (blob, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b, ok := g.blobs[id]
	if !ok {
		return blob{}, contract.Error(codes.NotFound, contract.ReasonNotFound, "not found")
	}
	if !g.owns(b.account) {
		return blob{}, denied()
	}
	return b, nil
}

// BlobGet implements GatewayService.
func (g *Service) BlobGet(r *pluginv1.BlobGetRequest, stream grpc.ServerStreamingServer[pluginv1.BlobGetResponse]) error {
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
func (g *Service) BlobURL(_ context.Context, r *pluginv1.BlobURLRequest) (*pluginv1.BlobURLResponse, error) {
	b, err := g.blob(r.GetBlob())
	if err != nil {
		return nil, err
	}
	url := "http://files.localhost/" + b.file.GetBlob()
	if g.URL != nil {
		url = g.URL(b.file.GetBlob())
	}
	ttl := min(maxURL, time.Duration(r.GetTtlSeconds())*time.Second)
	if ttl == 0 {
		ttl = usualURL
	}
	return &pluginv1.BlobURLResponse{Url: url, Expires: time.Now().Add(ttl).UnixMicro()}, nil
}

// MintGrant implements GatewayService.
func (g *Service) MintGrant(_ context.Context, r *pluginv1.MintGrantRequest) (*pluginv1.MintGrantResponse, error) {
	if !g.owns(r.GetAccount()) {
		return nil, denied()
	}
	if r.GetPurpose() == "" {
		return nil, contract.Error(codes.Internal, "", "gateway error")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.grants == nil {
		g.grants = map[string]*pluginv1.MintGrantRequest{}
	}
	token := rand.Text()
	g.grants[token] = r
	return &pluginv1.MintGrantResponse{Grant: token, Expires: time.Now().Add(time.Minute).UnixMicro()}, nil
}

// Redeem uses a grant up and returns the request for which it was minted; ok is false when there is
// no such grant, or it was used.
func (g *Service) Redeem(grant string) (minted *pluginv1.MintGrantRequest, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	minted, ok = g.grants[grant]
	delete(g.grants, grant)
	return minted, ok
}
