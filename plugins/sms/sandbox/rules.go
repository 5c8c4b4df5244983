package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Behaviour says what happens to matching messages after they were taken.
type Behaviour struct {
	ID   int    `json:"id"`             // chosen by the sandbox
	To   string `json:"to,omitempty"`   // the handset's number; "" is any
	From string `json:"from,omitempty"` // the sender's number; "" is any
	// Count is to how many messages it applies; 0 is all until it is deleted.
	Count int `json:"count,omitempty"`
	// Steps are the status callbacks, in this order; statuses may repeat. Empty: sending, sent,
	// delivered.
	Steps []Step `json:"steps"`
	// Early is how many of the steps are reported before the REST request is answered.
	Early int `json:"early,omitempty"`
}

func (b Behaviour) check() error {
	for i, one := range b.Steps {
		switch {
		case rank(one.Status) < 2 || one.Status == "received":
			return invalid("steps[%d].status: must be queued, sending, sent, delivered, undelivered, failed, read or canceled", i)
		case one.AfterMS < 0 || one.AfterMS > int64(time.Hour/time.Millisecond):
			return invalid("steps[%d].after_ms: must be 0 to an hour", i)
		}
	}
	if b.Count < 0 || b.Early < 0 || b.Early > len(b.Steps) {
		return invalid("count must not be negative, early at most the number of steps")
	}
	return nil
}

// Kinds of faults.
const (
	faultStatus  = "status"  // an HTTP status with an error body
	faultHang    = "hang"    // no answer until the client gives up
	faultReset   = "reset"   // the connection is reset
	faultLatency = "latency" // the answer comes late but is otherwise as usual
)

// Operations of the REST API to which faults apply.
const (
	opCreate = "create"
	opFetch  = "fetch"
	opList   = "list"
	opMedia  = "media"
	opAny    = "any"
)

// Fault makes matching REST requests fail.
type Fault struct {
	ID   int    `json:"id"`   // chosen by the sandbox
	Kind string `json:"kind"` // status, hang, reset, latency
	// Op is create (also ""), fetch, list, media or any.
	Op string `json:"op,omitempty"`
	// To and From select create requests; "" is any. A reset without both, and without After,
	// happens before the request's body is read.
	To   string `json:"to,omitempty"`
	From string `json:"from,omitempty"`
	// Count is to how many requests it applies; 0 is all until it is deleted.
	Count int `json:"count,omitempty"`
	// After lets the request do its work first: the message is taken, but the answer is lost or
	// wrong.
	After bool `json:"after,omitempty"`
	// Status and Code are the answer of kind status: if Code is 0 it is 20429 for 429, and 20500
	// for others. Body replaces Twilio's error JSON.
	Status     int    `json:"status,omitempty"`
	Code       int    `json:"code,omitempty"`
	Body       string `json:"body,omitempty"`
	RetryAfter string `json:"retry_after,omitempty"` // value of the Retry-After header
	DelayMS    int64  `json:"delay_ms,omitempty"`    // for kind latency
}

func (f Fault) check() error {
	switch f.Kind {
	case faultStatus:
		if f.Status < 200 || f.Status > 599 {
			return invalid("status: must be 200 to 599")
		}
	case faultHang, faultReset:
	case faultLatency:
		if f.DelayMS < 1 || f.DelayMS > int64(time.Hour/time.Millisecond) {
			return invalid("delay_ms: must be 1 to an hour")
		}
	default:
		return invalid("kind: must be status, hang, reset or latency")
	}
	if !slices.Contains([]string{"", opCreate, opFetch, opList, opMedia, opAny}, f.Op) {
		return invalid("op: must be create, fetch, list, media or any")
	}
	if f.Count < 0 {
		return invalid("count: must not be negative")
	}
	return nil
}

func (f Fault) matches(op, to, from string) bool {
	want := f.Op
	if want == "" {
		want = opCreate
	}
	return (want == opAny || want == op) && (f.To == "" || f.To == to) && (f.From == "" || f.From == from)
}

// unread reports whether the fault happens before the body is read.
func (f Fault) unread() bool { return f.Kind == faultReset && !f.After && f.To == "" && f.From == "" }

// rules are the behaviours and faults that were asked for; they last as long as the process.
type rules struct {
	last       int
	behaviours []Behaviour
	faults     []Fault
}

// AddBehaviour adds a behaviour for messages from now on; the newest that matches is used.
func (s *Sandbox) AddBehaviour(b Behaviour) (Behaviour, error) {
	if err := b.check(); err != nil {
		return b, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules.last++
	b.ID = s.rules.last
	s.rules.behaviours = append(s.rules.behaviours, b)
	s.tellRules()
	return b, nil
}

// AddFault adds a fault for requests from now on; the newest that matches is used.
func (s *Sandbox) AddFault(f Fault) (Fault, error) {
	if err := f.check(); err != nil {
		return f, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules.last++
	f.ID = s.rules.last
	s.rules.faults = append(s.rules.faults, f)
	s.tellRules()
	return f, nil
}

// ClearRules removes all behaviours and faults. Requests that hang already go on hanging.
func (s *Sandbox) ClearRules() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules.behaviours, s.rules.faults = nil, nil
	s.tellRules()
}

// behaviour returns the newest behaviour that matches a message, and counts its use.
func (s *Sandbox) behaviour(m *Message) Behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, b := range slices.Backward(s.rules.behaviours) {
		if b.To != "" && b.To != m.To || b.From != "" && b.From != m.From {
			continue
		}
		if b.Count > 0 {
			if s.rules.behaviours[i].Count--; s.rules.behaviours[i].Count == 0 {
				s.rules.behaviours = slices.Delete(s.rules.behaviours, i, i+1)
			}
			s.tellRules()
		}
		b.Steps = slices.Clone(b.Steps)
		return b
	}
	return Behaviour{}
}

// fault returns the faults that apply to a request, and counts their use: the sum of the latencies,
// and the newest other fault, nil for none. Before the body is read (unread) it considers only
// faults that need nothing of the body.
func (s *Sandbox) fault(op, to, from string, unread bool) (time.Duration, *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var late time.Duration
	var hit *Fault
	changed := false
	for i, f := range slices.Backward(s.rules.faults) {
		if f.unread() != unread || !f.matches(op, to, from) || f.Kind != faultLatency && hit != nil {
			continue
		}
		if f.Kind == faultLatency {
			late += time.Duration(f.DelayMS) * time.Millisecond
		} else {
			hit = &f
		}
		if f.Count > 0 {
			changed = true
			if s.rules.faults[i].Count--; s.rules.faults[i].Count == 0 {
				s.rules.faults[i].Count = -1 // used up; removed below
			}
		}
	}
	if changed {
		s.rules.faults = slices.DeleteFunc(s.rules.faults, func(f Fault) bool { return f.Count < 0 })
		s.tellRules()
	}
	return late, hit
}

// faulty wraps an operation's handler in the faults for it. For a create it reads the form first,
// since To and From select its faults.
func (s *Sandbox) faulty(op string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, f := s.fault(op, "", "", true); f != nil {
			abort(w)
			return
		}
		to, from := "", ""
		if op == opCreate {
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			if err := r.ParseForm(); err != nil {
				writeError(w, newErrorWith(http.StatusBadRequest, 20001, "the form cannot be read"))
				return
			}
			to, from = r.PostForm.Get("To"), r.PostForm.Get("From")
		}
		late, f := s.fault(op, to, from, false)
		if late > 0 && !s.sleepFor(r, late) {
			return
		}
		if f == nil {
			next(w, r)
			return
		}
		if f.After {
			next(&discard{header: http.Header{}}, r)
		}
		s.strike(w, r, *f)
	}
}

func (s *Sandbox) strike(w http.ResponseWriter, r *http.Request, f Fault) {
	switch f.Kind {
	case faultHang:
		select {
		case <-r.Context().Done():
		case <-s.ctx.Done():
		}
		abort(w)
	case faultReset:
		abort(w)
	default:
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		if f.Body != "" {
			kind := "application/json"
			if !strings.HasPrefix(f.Body, "{") {
				kind = "text/html; charset=utf-8"
			}
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(f.Status)
			_, _ = w.Write([]byte(f.Body))
			return
		}
		code := f.Code
		if code == 0 {
			if code = 20500; f.Status == http.StatusTooManyRequests {
				code = 20429
			}
		}
		writeError(w, newErrorWith(f.Status, code, errorText(code)))
	}
}

// sleepFor waits; false when the client or the sandbox goes first.
func (s *Sandbox) sleepFor(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
	case <-s.ctx.Done():
	}
	return false
}

// abort resets the connection.
func abort(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // with HTTP/2 this resets the stream
	}
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0) // closes with an RST instead of a FIN
	}
	_ = conn.Close()
}

// discard is a ResponseWriter whose answer is dropped.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}
