package sandbox

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

//go:embed page
var pageFiles embed.FS

// pagePolicy lets the page load its own scripts, styles and pictures, and pictures from the
// sandbox's storage.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (s *Sandbox) pageRoutes(mux *http.ServeMux) {
	for path, file := range map[string]struct{ name, kind string }{
		"/phones":            {"phones.html", "text/html; charset=utf-8"},
		"/phones/phones.js":  {"phones.js", "text/javascript; charset=utf-8"},
		"/phones/phones.css": {"phones.css", "text/css; charset=utf-8"},
		"/phones/icon.svg":   {"icon.svg", "image/svg+xml"},
	} {
		data, err := pageFiles.ReadFile("page/" + file.name)
		if err != nil {
			panic(err) // cannot happen: the file is embedded
		}
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h.Set("Content-Type", file.kind)
			h.Set("Content-Security-Policy", pagePolicy)
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("Cache-Control", "no-cache")
			_, _ = w.Write(data)
		})
	}
	mux.Handle("GET /{$}", http.RedirectHandler("/phones", http.StatusFound))
}

// bubble is a message as the page of a handset shows it.
type bubble struct {
	SID     string        `json:"sid"`
	Phone   string        `json:"phone"`
	Number  string        `json:"number"`
	Mine    bool          `json:"mine"` // sent from this handset
	Body    string        `json:"body"`
	Files   []bubbleFile  `json:"files,omitempty"`
	At      time.Time     `json:"at"`
	State   string        `json:"state"` // sending, sent, delivered, read, failed
	Problem bubbleProblem `json:"problem"`
}

type bubbleFile struct {
	URL         string `json:"url"`
	ContentType string `json:"content_type"`
}

// bubbleProblem is why a message did not arrive; code 0 is none.
type bubbleProblem struct {
	Code int    `json:"code"`
	Text string `json:"text"`
}

func newBubble(m *Message) bubble {
	b := bubble{
		SID: m.SID, Phone: m.phone(), Number: m.number(), Mine: m.Direction == directionInbound, Body: m.Body, At: m.Created, State: m.Status,
		Problem: bubbleProblem{m.ErrorCode, m.ErrorMessage},
	}
	for _, f := range m.Media {
		if f.SID != "" {
			b.Files = append(b.Files, bubbleFile{"/_storage/" + f.SID, f.ContentType})
		}
	}
	switch {
	case b.Mine:
		b.State, b.Problem = webhookState(m.Deliveries)
	case m.Status == "undelivered" || m.Status == "canceled":
		b.State = "failed"
	case rank(m.Status) < rank("sent"):
		b.State = "sending"
	}
	return b
}

// webhookState sums up how the gateway took a text: it is delivered if one of the webhooks was
// answered.
func webhookState(all []Delivery) (string, bubbleProblem) {
	state, problem := "failed", bubbleProblem{11200, "nobody listens to this number"}
	for _, d := range all {
		switch {
		case d.State == stateAnswered:
			return "delivered", bubbleProblem{}
		case d.State == statePending:
			state, problem = "sending", bubbleProblem{}
		case state == "failed" && len(d.Attempts) > 0:
			last := d.Attempts[len(d.Attempts)-1]
			problem = bubbleProblem{d.Error, "the gateway did not answer (" + last.Failure + ")"}
			if last.Code != 0 {
				problem.Text = fmt.Sprintf("the gateway answered %d", last.Code)
			}
		}
	}
	return state, problem
}

// handset is an entry of the list of phones.
type handset struct {
	Phone string    `json:"phone"`
	Last  time.Time `json:"last"` // time of its last message; zero = none
	Count int       `json:"count"`
}

func (s *Sandbox) servePhones(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	out := []handset{}
	for _, p := range s.state.phones {
		out = append(out, s.handsetLocked(p))
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"phones": out})
}

func (s *Sandbox) handsetLocked(phone string) handset {
	thread := s.state.threads[phone]
	h := handset{Phone: phone, Count: len(thread)}
	if len(thread) > 0 {
		h.Last = thread[len(thread)-1].Created
	}
	return h
}

func (s *Sandbox) postPhone(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Phone string `json:"phone"`
	}
	if !body(w, r, &in) {
		return
	}
	if !validPhone(in.Phone) && !(validSender(in.Phone) && allDigits(in.Phone)) {
		refuse(w, invalid("phone: must be a number in E.164 with its plus, as +15550100199"))
		return
	}
	if err := s.record(&entry{Phone: in.Phone})(); err != nil {
		refuse(w, err)
		return
	}
	s.mu.Lock()
	h := s.handsetLocked(in.Phone)
	s.mu.Unlock()
	writeJSON(w, http.StatusCreated, h)
}

const threadShown = 500 // how many messages of a handset the page gets

func (s *Sandbox) serveThread(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	thread := s.state.threads[r.PathValue("phone")]
	thread = thread[max(0, len(thread)-threadShown):]
	out := []bubble{}
	for _, m := range thread {
		if !m.Deleted {
			out = append(out, newBubble(m))
		}
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"messages": out})
}

// tell sends a change to the pages that are open. The caller holds the lock.
func (s *Sandbox) tell(e *entry) {
	if len(s.subs) == 0 {
		return
	}
	var sid string
	switch {
	case e.Message != nil:
		sid = e.Message.SID
	case e.Status != nil:
		sid = e.Status.SID
	case e.Delivery != nil:
		sid = e.Delivery.SID
	case e.Media != nil:
		sid = e.Media.SID
	case e.Phone != "":
		s.push("phone", s.handsetLocked(e.Phone))
		return
	default:
		s.push("reload", struct{}{})
		return
	}
	if m := s.state.messages[sid]; m != nil {
		s.push("message", newBubble(m))
	}
}

func (s *Sandbox) tellRules() {
	if len(s.subs) > 0 {
		s.push("rules", s.rulesLocked())
	}
}

// push sends a frame to all pages; the stream of a page that is too slow is closed, and the page
// connects again.
func (s *Sandbox) push(event string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		return // cannot happen: the value is plain data
	}
	frame := fmt.Appendf(nil, "event: %s\ndata: %s\n\n", event, data)
	for c := range s.subs {
		select {
		case c <- frame:
		default:
			delete(s.subs, c)
			close(c)
		}
	}
}

// serveEvents serves the stream of changes (server-sent events: message, phone, rules, reload).
func (s *Sandbox) serveEvents(w http.ResponseWriter, r *http.Request) {
	c := make(chan []byte, 256)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		refuse(w, ErrClosed)
		return
	}
	s.subs[c] = struct{}{}
	s.push("rules", s.rulesLocked())
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.subs, c)
		s.mu.Unlock()
	}()
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	_ = out.Flush()
	for {
		select {
		case frame, ok := <-c:
			if !ok {
				return
			}
			if _, err := w.Write(frame); err != nil || out.Flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
