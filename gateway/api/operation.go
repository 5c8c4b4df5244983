package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/auth"
	"github.com/parley-gateway/parley/gateway/limit"
)

// anybody marks operations that need no login.
const anybody directory.Role = ""

// op describes an operation for huma.
func op(id, method, path, tag, summary string, need directory.Role) huma.Operation {
	o := huma.Operation{
		OperationID: id, Method: method, Path: Prefix + path, Tags: []string{tag}, Summary: summary,
		Responses: map[string]*huma.Response{"default": {
			Description: "A problem (RFC 9457); its code tells programs what went wrong",
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}}},
		}},
	}
	if need != anybody {
		o.Security = []map[string][]string{{"session": {}}, {"bearer": {}}}
		o.Description = "Needs the role " + string(need) + "."
	}
	return o
}

// register adds an operation. It checks the sender and their role before it reads anything of the
// request [ASVS 8.3.1], and again when the body has been read.
func register[I, O any](a *API, o huma.Operation, need directory.Role, fn func(ctx context.Context, id auth.Identity, in *I) (*O, error)) {
	o.Middlewares = append(o.Middlewares, a.gate(need))
	a.note(o, need, reflect.TypeFor[I](), bodyOf(reflect.TypeFor[O]()))
	huma.Register(a.huma, o, func(ctx context.Context, in *I) (*O, error) {
		id, err := a.sender(ctx, need)
		var out *O
		if err == nil {
			out, err = fn(ctx, id, in)
		}
		if err != nil {
			p := a.fault(err, o.OperationID).problem()
			return nil, &p
		}
		return out, nil
	})
}

// Operation is a route with the Go types that it takes and answers. gateway/stream generates the
// front ends' types from them.
type Operation struct {
	Route  string         // method and path below Prefix: "GET /me"
	Need   directory.Role // the lowest role that may call the route; "" = no login is needed
	Input  reflect.Type   // a struct whose path and query tags name the parameters; it may have a field Body
	Answer reflect.Type   // the type of the JSON of a 2xx answer; nil = the answer has no body
}

// Operations returns all routes in the order in which they are registered.
func Operations() []Operation {
	a := &API{}
	a.huma = newHuma(http.NewServeMux(), "")
	a.routes()
	return a.ops
}

// note adds a route to those that Operations returns.
func (a *API) note(o huma.Operation, need directory.Role, input, answer reflect.Type) {
	a.ops = append(a.ops, Operation{o.Method + " " + strings.TrimPrefix(o.Path, Prefix), need, input, answer})
}

// bodyOf returns the type of an output's body; nil = it has none.
func bodyOf(output reflect.Type) reflect.Type {
	if body, ok := output.FieldByName("Body"); ok {
		return body.Type
	}
	return nil
}

// sender returns the identity of the sender of a request whose body has been read; it checks again
// whether they have the needed role.
func (a *API) sender(ctx context.Context, need directory.Role) (auth.Identity, error) {
	if need == anybody {
		id, _ := auth.FromContext(ctx)
		return id, nil
	}
	return a.opts.Auth.Recheck(ctx, need)
}

// gate is the middleware that lets only users with the needed role through.
func (a *API) gate(need directory.Role) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		if need != anybody {
			if _, err := a.opts.Auth.Check(r.Context(), need); err != nil {
				WriteFault(w, a.fault(err, ctx.Operation().OperationID))
				return
			}
		}
		// Refuse a body that announces more than the limit before any of it is read or waited for
		// (FT22).
		if most := ctx.Operation().MaxBodyBytes; most > 0 && r.ContentLength > most {
			WriteFault(w, NewFault("too_large"))
			return
		}
		next(&bodyContext{humaContext: huma.WithValue(ctx, clientKey{}, limit.IP(r))})
	}
}

// humaContext is an alias under which bodyContext can embed huma.Context: embedded as Context it
// would clash with the method of that name.
type humaContext = huma.Context

// bodyContext makes a body that cannot be read (a broken chunk, or an end before its time) the
// sender's error, 400; huma alone would answer 500 (FT23).
type bodyContext struct {
	humaContext
	broken bool
}

// BodyReader returns a reader that records in broken whether reading failed.
func (c *bodyContext) BodyReader() io.Reader { return &bodyReader{c.humaContext.BodyReader(), c} }

// SetStatus turns huma's 500 into 400 if the body could not be read.
func (c *bodyContext) SetStatus(code int) {
	if c.broken && code == http.StatusInternalServerError {
		code = http.StatusBadRequest
	}
	c.humaContext.SetStatus(code)
}

// Unwrap serves humago.Unwrap.
func (c *bodyContext) Unwrap() huma.Context { return c.humaContext }

type bodyReader struct {
	io.Reader
	of *bodyContext
}

// Read reads from the body, and records any error except EOF.
func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.of.broken = b.of.broken || err != nil && !errors.Is(err, io.EOF)
	return n, err
}

func (a *API) fault(err error, where string) *Fault {
	return ToFault(err, func(id string, err error) {
		a.log.Error("api: unforeseen error", "incident", id, "where", where, "err", err)
	})
}

// toProblem turns errors that huma reports into a Problem. It leaves out what the client sent,
// which may be a password.
func toProblem(ctx huma.Context, _ string, v any) (any, error) {
	em, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	code := "invalid"
	switch em.Status {
	case http.StatusBadRequest, http.StatusNotAcceptable, http.StatusUnsupportedMediaType:
		code = "malformed"
	case http.StatusRequestEntityTooLarge:
		code = "too_large"
	case http.StatusRequestTimeout:
		code = "unavailable"
	}
	// huma runs transformers before it sets the status, so the status is corrected here, too.
	if c, ok := ctx.(*bodyContext); ok && c.broken && em.Status == http.StatusInternalServerError {
		em.Status, em.Errors, code = http.StatusBadRequest, nil, "malformed"
	}
	f := NewFault(code)
	f.Status = em.Status
	for _, d := range em.Errors {
		if d != nil {
			f.Details = append(f.Details, Detail{Where: strings.TrimPrefix(d.Location, "body."), Problem: d.Message})
		}
	}
	p := f.problem()
	return &p, nil
}

// empty is the output of operations that answer 204 without a body.
type empty struct{}
