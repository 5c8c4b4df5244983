package api

import (
	"context"
	"net/http"

	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/auth"
)

type applyInput struct {
	DryRun  bool   `query:"dry_run" doc:"Only tell what would change"`
	RawBody []byte `contentType:"application/yaml" doc:"A records file. Secrets stand in it: files and variables of the server are not read"`
}

type applyOutput struct {
	Body struct {
		Changes []changeView `json:"changes" doc:"What changed, in order; empty when everything was so already"`
	}
}

type changeView struct {
	Kind   string           `json:"kind"`
	ID     string           `json:"id"`
	Name   string           `json:"name,omitempty"`
	Action directory.Action `json:"action" enum:"created,updated,deleted"`
	Fields []string         `json:"fields,omitempty"`
}

func (a *API) applyRoutes() {
	o := op("apply", http.MethodPost, "/apply", "records", "Make records as a file says, all or nothing", directory.RoleAdmin)
	o.MaxBodyBytes = 16 << 20
	register(a, o, directory.RoleAdmin, func(ctx context.Context, _ auth.Identity, in *applyInput) (*applyOutput, error) {
		records, err := directory.ParseRecordsText(in.RawBody, "records.yaml")
		if err != nil {
			return nil, NewFault("invalid", Detail{Problem: err.Error()})
		}
		changes, err := a.opts.Directory.Apply(ctx, records, in.DryRun)
		if err != nil {
			return nil, recordFault(err)
		}
		out := &applyOutput{}
		out.Body.Changes = []changeView{}
		for _, c := range changes {
			out.Body.Changes = append(out.Body.Changes, changeView(c))
		}
		return out, nil
	})
}

// recordFault is the fault that lists everything wrong with applied records, each with its line.
func recordFault(err error) error {
	var details []Detail
	for _, e := range flatten(err) {
		re, ok := e.(*directory.RecordError) //nolint:errorlint // taken apart one by one
		if !ok {
			return err
		}
		details = append(details, Detail{re.Where, re.Err.Error()})
	}
	return NewFault("invalid", details...)
}

// flatten returns the single errors of which a joined error consists.
func flatten(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	return []error{err}
}
