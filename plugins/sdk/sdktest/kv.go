package sdktest

import (
	"context"
	"fmt"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest/memgateway"
)

// NewKV makes an empty key-value store in memory, for tests of a part of a plugin that needs no Host.
// Safe for concurrent use.
func NewKV() sdk.KV { return kv{&memgateway.Service{}} }

type kv struct{ service *memgateway.Service }

func (k kv) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	r, err := k.service.KVGet(ctx, &pluginv1.KVGetRequest{Key: key})
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("sdktest: kv get: %w", err)
	case !r.GetFound():
		return nil, 0, fmt.Errorf("sdktest: kv get: %w", sdk.ErrNotFound)
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
	r, err := k.service.KVPut(ctx, req)
	switch {
	case err != nil:
		return 0, fmt.Errorf("sdktest: kv put: %w", err)
	case r.GetConflict():
		return 0, fmt.Errorf("sdktest: kv put: %w", sdk.ErrConflict)
	}
	return r.GetVersion(), nil
}

func (k kv) Delete(ctx context.Context, key string) error {
	if _, err := k.service.KVDelete(ctx, &pluginv1.KVDeleteRequest{Key: key}); err != nil {
		return fmt.Errorf("sdktest: kv delete: %w", err)
	}
	return nil
}

func (k kv) List(ctx context.Context, prefix, after string, limit uint32) ([]string, error) {
	r, err := k.service.KVList(ctx, &pluginv1.KVListRequest{Prefix: prefix, After: after, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("sdktest: kv list: %w", err)
	}
	return r.GetKeys(), nil
}
