package sdk

import "context"

// WithIdentity returns a context for which IdentityOf returns id: for tests of a plugin's
// http.Handler, which have no gateway that would send the header.
func WithIdentity(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}
