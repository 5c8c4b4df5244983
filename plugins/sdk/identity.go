package sdk

import "context"

// WithIdentity returns a context whose request IdentityOf finds to be id's:
// for tests of a plugin's http.Handler, which have no gateway in front.
func WithIdentity(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}
