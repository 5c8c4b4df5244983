package api

import (
	"context"
	"net/http"

	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/auth"
)

// Records of one kind are listed, read, created and replaced alike.

type recordOutput[T any] struct{ Body T }

type listOfOutput[T any] struct {
	Body struct {
		Items []T `json:"items"`
	}
}

type createInput[B any] struct{ Body B }

type replaceInput[B any] struct {
	ID   string `path:"id" maxLength:"64"`
	Body B
}

// kind describes one kind of record to the routes that list, read, create and replace it.
type kind[T, B any] struct {
	name, plural string // for example "user", "users"
	read         directory.Role
	list         func(*directory.Snapshot) []T
	get          func(s *directory.Snapshot, id string) (T, bool)
	put          func(ctx context.Context, id string, body B) (T, error) // id "" creates a record
}

// recordRoutes registers list, get, create and replace; changing needs an administrator.
func recordRoutes[T, B any](a *API, k kind[T, B]) {
	register(a, op("list-"+k.plural, http.MethodGet, "/"+k.plural, k.plural, "List all "+k.plural, k.read), k.read,
		func(context.Context, auth.Identity, *struct{}) (*listOfOutput[T], error) {
			out := &listOfOutput[T]{}
			if out.Body.Items = k.list(a.opts.Directory.Snapshot()); out.Body.Items == nil {
				out.Body.Items = []T{}
			}
			return out, nil
		})
	register(a, op("get-"+k.name, http.MethodGet, "/"+k.plural+"/{id}", k.plural, "Read a "+k.name, k.read), k.read,
		func(_ context.Context, _ auth.Identity, in *struct {
			ID string `path:"id" maxLength:"64"`
		}) (*recordOutput[T], error) {
			rec, ok := k.get(a.opts.Directory.Snapshot(), in.ID)
			if !ok {
				return nil, NewFault("not_found")
			}
			return &recordOutput[T]{rec}, nil
		})
	o := op("create-"+k.name, http.MethodPost, "/"+k.plural, k.plural, "Create a "+k.name, directory.RoleAdmin)
	o.DefaultStatus = http.StatusCreated
	register(a, o, directory.RoleAdmin, func(ctx context.Context, _ auth.Identity, in *createInput[B]) (*recordOutput[T], error) {
		rec, err := k.put(ctx, "", in.Body)
		return &recordOutput[T]{rec}, err
	})
	register(a, op("replace-"+k.name, http.MethodPut, "/"+k.plural+"/{id}", k.plural, "Replace a "+k.name, directory.RoleAdmin), directory.RoleAdmin,
		func(ctx context.Context, _ auth.Identity, in *replaceInput[B]) (*recordOutput[T], error) {
			if _, ok := k.get(a.opts.Directory.Snapshot(), in.ID); !ok {
				return nil, NewFault("not_found")
			}
			rec, err := k.put(ctx, in.ID, in.Body)
			return &recordOutput[T]{rec}, err
		})
}
