package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/parley-gateway/parley/core/project"
	"github.com/parley-gateway/parley/core/project/intervals"
)

// Projections is what follows the log into tables. Client implements it by asking the running gateway;
// a command that has opened the stores itself asks them.
type Projections interface {
	// ProjectionStatus tells how far each projection is.
	ProjectionStatus(ctx context.Context) ([]project.Status, error)
	// RebuildProjection has a projection made anew. Its error for an unknown name says so.
	RebuildProjection(ctx context.Context, name string) error
	// Intervals are those between two times (intervals.Between).
	Intervals(ctx context.Context, from, until time.Time) ([]intervals.Interval, error)
}

// read is the answer to a request that reads.
type read struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

func (o Options) projections(mux *http.ServeMux) {
	mux.HandleFunc("GET /projections", func(w http.ResponseWriter, r *http.Request) {
		all, err := o.Projections.ProjectionStatus(r.Context())
		result(w, all, err)
	})
	mux.HandleFunc("POST /projections/{name}/rebuild", func(w http.ResponseWriter, r *http.Request) {
		respond(w, o.Projections.RebuildProjection(r.Context(), r.PathValue("name")), nil)
	})
	mux.HandleFunc("GET /intervals", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		from, err1 := time.Parse(time.RFC3339, q.Get("from"))
		until, err2 := time.Parse(time.RFC3339, q.Get("until"))
		if err := errors.Join(err1, err2); err != nil {
			result(w, nil, err)
			return
		}
		all, err := o.Projections.Intervals(r.Context(), from, until)
		result(w, all, err)
	})
}

func result(w http.ResponseWriter, v any, err error) {
	var a read
	if err == nil {
		a.Result, err = json.Marshal(v)
	}
	if err != nil {
		a.Error = err.Error()
	}
	reply(w, a)
}

func (c Client) read(ctx context.Context, path string, out any) error {
	var a read
	if err := c.call(ctx, http.MethodGet, path, nil, &a); err != nil {
		return err
	}
	if a.Error != "" {
		return errors.New(a.Error)
	}
	return json.Unmarshal(a.Result, out)
}

// ProjectionStatus implements Projections.
func (c Client) ProjectionStatus(ctx context.Context) (all []project.Status, err error) {
	err = c.read(ctx, "/projections", &all)
	return all, err
}

// RebuildProjection implements Projections.
func (c Client) RebuildProjection(ctx context.Context, name string) error {
	_, err := c.change(ctx, "/projections/"+url.PathEscape(name)+"/rebuild", nil)
	return err
}

// Intervals implements Projections.
func (c Client) Intervals(ctx context.Context, from, until time.Time) (all []intervals.Interval, err error) {
	q := url.Values{"from": {from.Format(time.RFC3339)}, "until": {until.Format(time.RFC3339)}}
	err = c.read(ctx, "/intervals?"+q.Encode(), &all)
	return all, err
}
