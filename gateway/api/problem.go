package api

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
)

// Problem is an error answer (RFC 9457). Code is the published code that
// programs test for; the rest is for people.
type Problem struct {
	Title   string   `json:"title" doc:"Text of the HTTP status"`
	Status  int      `json:"status" doc:"HTTP status"`
	Code    string   `json:"code" doc:"What went wrong, from a published list that only grows"`
	Detail  string   `json:"detail" doc:"The same for people"`
	Details []Detail `json:"errors,omitempty" doc:"What is wrong with which field"`

	headers http.Header
}

// Error names the code.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func (f *Fault) problem() Problem {
	return Problem{Title: http.StatusText(f.Status), Status: f.Status, Code: f.Code, Detail: f.Text, Details: f.Details, headers: f.headers()}
}

// WriteFault writes a Fault as a problem where no huma operation answers.
func WriteFault(w http.ResponseWriter, f *Fault) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	for name, values := range f.headers() {
		h[name] = values
	}
	w.WriteHeader(f.Status)
	if json.NewEncoder(w).Encode(f.problem()) != nil {
		return // the client has gone, so nobody can be told
	}
}

func (f *Fault) headers() http.Header {
	h := http.Header{}
	switch f.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="parley"`)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		after := 1.0
		if f.RetryAfter > 0 {
			after = math.Ceil(f.RetryAfter.Seconds())
		}
		h.Set("Retry-After", strconv.Itoa(int(after)))
	}
	return h
}
