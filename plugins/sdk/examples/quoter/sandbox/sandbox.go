// Package sandbox is the quoter's provider: a messenger in memory, or in a file, with an interface for
// the plugin, one for scripts that play the customer, and failures on request.
package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Message is a message as the provider has it.
type Message struct {
	ID        string            `json:"id"`
	Ref       string            `json:"ref,omitempty"` // the sender's own reference
	From      string            `json:"from,omitempty"`
	To        string            `json:"to,omitempty"`
	Text      string            `json:"text,omitempty"`
	Template  string            `json:"template,omitempty"`
	Quote     string            `json:"quote,omitempty"`
	Reactions map[string]string `json:"reactions,omitempty"` // emoji, by who: "business" or the customer
	Edited    bool              `json:"edited,omitempty"`
	Revoked   bool              `json:"revoked,omitempty"`
	Read      bool              `json:"read,omitempty"`
}

// Template is a template that the provider has approved.
type Template struct {
	Name     string `json:"name"`
	Language string `json:"language"`
	Body     string `json:"body"`
	Status   string `json:"status"`
}

// State is everything that the provider has.
type State struct {
	Next      int        `json:"next"`
	Messages  []*Message `json:"messages"`
	Typing    []bool     `json:"typing"` // every signal, in order
	Templates []Template `json:"templates"`
	Hook      string     `json:"hook,omitempty"` // where webhooks go
}

// Event is the body of a webhook.
type Event struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"` // "message", "reaction", "edit", "revoke", "delivered", "read"
	From    string `json:"from"`
	Message string `json:"message"` // the id of the message that it is, or is about
	Text    string `json:"text,omitempty"`
	Emoji   string `json:"emoji,omitempty"`
	Quote   string `json:"quote,omitempty"`
	Time    int64  `json:"time"` // seconds since 1970
}

// Failure is what the provider answers to the plugin's next requests.
type Failure struct {
	Next   int    `json:"next"`   // how many requests fail
	Path   string `json:"path"`   // what their paths begin with; "" = all
	Status int    `json:"status"` // 0: the connection is cut
	Taken  bool   `json:"taken"`  // what was asked for is done nevertheless
}

// Server is the provider. Safe for concurrent use.
type Server struct {
	mux  *http.ServeMux
	file string

	mu    sync.Mutex
	state State
	fail  Failure
}

// New opens a provider whose state is in a file; "" = in memory.
func New(file string) (*Server, error) {
	s := &Server{mux: http.NewServeMux(), file: file}
	s.state.Templates = []Template{
		{Name: "appointment", Language: "en", Body: "Your appointment is on {{1}} at {{2}}.", Status: "approved"},
		{Name: "old", Language: "en", Body: "Out of use.", Status: "paused"},
	}
	if file != "" {
		text, err := os.ReadFile(file)
		switch {
		case os.IsNotExist(err):
		case err != nil:
			return nil, fmt.Errorf("sandbox: %w", err)
		default:
			if err := json.Unmarshal(text, &s.state); err != nil {
				return nil, fmt.Errorf("sandbox: %s: %w", file, err)
			}
		}
	}
	s.routes()
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// State returns a copy of what the provider has.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.copy()
}

func (s *Server) copy() State {
	out := s.state
	out.Messages = nil
	for _, m := range s.state.Messages {
		one := *m
		out.Messages = append(out.Messages, &one)
	}
	out.Typing = slices.Clone(s.state.Typing)
	return out
}

// Fail makes the plugin's next requests fail.
func (s *Server) Fail(f Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

// save writes the state to the file; the caller holds mu.
func (s *Server) save() error {
	if s.file == "" {
		return nil
	}
	text, err := json.Marshal(s.state)
	if err != nil {
		return err
	}
	next := filepath.Join(filepath.Dir(s.file), "."+filepath.Base(s.file)+".new")
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, s.file)
}

func (s *Server) find(id string) *Message {
	for _, m := range s.state.Messages {
		if m.ID == id {
			return m
		}
	}
	return nil
}

func (s *Server) routes() {
	// The plugin's interface.
	s.mux.HandleFunc("POST /messages", s.plugin(s.send))
	s.mux.HandleFunc("GET /messages", s.plugin(s.lookup))
	s.mux.HandleFunc("PUT /messages/{id}", s.plugin(s.edit))
	s.mux.HandleFunc("DELETE /messages/{id}", s.plugin(s.revoke))
	s.mux.HandleFunc("POST /messages/{id}/reaction", s.plugin(s.react))
	s.mux.HandleFunc("POST /messages/{id}/read", s.plugin(s.read))
	s.mux.HandleFunc("POST /typing", s.plugin(s.typing))
	s.mux.HandleFunc("GET /templates", s.plugin(s.templates))
	s.mux.HandleFunc("PUT /hook", s.plugin(s.hook))
	// The script's.
	s.mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, s.State()) })
	s.mux.HandleFunc("POST /fail", func(w http.ResponseWriter, r *http.Request) {
		var f Failure
		if decode(w, r, &f) {
			s.Fail(f)
			reply(w, http.StatusOK, f)
		}
	})
	s.mux.HandleFunc("POST /customer", func(w http.ResponseWriter, r *http.Request) {
		var ev Event
		if !decode(w, r, &ev) {
			return
		}
		out, err := s.Customer(r.Context(), ev)
		if err != nil {
			reply(w, http.StatusBadGateway, map[string]string{"error": err.Error()})
			return
		}
		reply(w, http.StatusOK, out)
	})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone needs no answer
}

func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(v); err != nil {
		reply(w, http.StatusBadRequest, map[string]string{"error": "malformed"})
		return false
	}
	return true
}

// plugin makes a handler of the plugin's interface: f runs under the mutex and returns what to
// answer. The state is on disk before the answer leaves.
func (s *Server) plugin(f func(r *http.Request) (int, any)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		fail := s.fail.Next > 0 && strings.HasPrefix(r.URL.Path, s.fail.Path)
		if fail {
			s.fail.Next--
		}
		status, body := s.fail.Status, any(map[string]string{"error": "on request"})
		if !fail || s.fail.Taken {
			done, what := f(r)
			if err := s.save(); err != nil {
				done, what = http.StatusInsufficientStorage, map[string]string{"error": "not stored"}
			}
			if !fail {
				status, body = done, what
			}
		}
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		reply(w, status, body)
	}
}

func none(string) (int, any) {
	return http.StatusNotFound, map[string]string{"error": "no_such_message"}
}

func (s *Server) id() string {
	s.state.Next++
	return fmt.Sprintf("q-%d", s.state.Next)
}

func (s *Server) send(r *http.Request) (int, any) {
	var m Message
	if json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&m) != nil || m.To == "" || m.Text == "" {
		return http.StatusBadRequest, map[string]string{"error": "malformed"}
	}
	if m.Quote != "" && s.find(m.Quote) == nil {
		return none(m.Quote)
	}
	m.ID = s.id()
	s.state.Messages = append(s.state.Messages, &m)
	return http.StatusCreated, m
}

func (s *Server) lookup(r *http.Request) (int, any) {
	out := []*Message{}
	for _, m := range s.state.Messages {
		if m.Ref != "" && m.Ref == r.URL.Query().Get("ref") {
			out = append(out, m)
		}
	}
	return http.StatusOK, out
}

func (s *Server) edit(r *http.Request) (int, any) {
	var in Message
	m := s.find(r.PathValue("id"))
	switch {
	case m == nil:
		return none("")
	case json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&in) != nil || in.Text == "":
		return http.StatusBadRequest, map[string]string{"error": "malformed"}
	}
	m.Text, m.Edited = in.Text, true
	return http.StatusOK, m
}

func (s *Server) revoke(r *http.Request) (int, any) {
	m := s.find(r.PathValue("id"))
	if m == nil {
		return none("")
	}
	m.Text, m.Revoked = "", true
	return http.StatusOK, m
}

func (s *Server) react(r *http.Request) (int, any) {
	var in Event
	m := s.find(r.PathValue("id"))
	switch {
	case m == nil:
		return none("")
	case json.NewDecoder(io.LimitReader(r.Body, 4<<10)).Decode(&in) != nil:
		return http.StatusBadRequest, map[string]string{"error": "malformed"}
	}
	m.reaction("business", in.Emoji)
	return http.StatusOK, m
}

func (m *Message) reaction(who, emoji string) {
	if m.Reactions == nil {
		m.Reactions = map[string]string{}
	}
	m.Reactions[who] = emoji
	if emoji == "" {
		delete(m.Reactions, who)
	}
}

func (s *Server) read(r *http.Request) (int, any) {
	m := s.find(r.PathValue("id"))
	if m == nil {
		return none("")
	}
	m.Read = true
	return http.StatusOK, m
}

func (s *Server) typing(r *http.Request) (int, any) {
	var in struct {
		On bool `json:"on"`
	}
	if json.NewDecoder(io.LimitReader(r.Body, 4<<10)).Decode(&in) != nil {
		return http.StatusBadRequest, map[string]string{"error": "malformed"}
	}
	s.state.Typing = append(s.state.Typing, in.On)
	return http.StatusOK, in
}

func (s *Server) templates(*http.Request) (int, any) { return http.StatusOK, s.state.Templates }

func (s *Server) hook(r *http.Request) (int, any) {
	var in struct {
		URL string `json:"url"`
	}
	if json.NewDecoder(io.LimitReader(r.Body, 4<<10)).Decode(&in) != nil {
		return http.StatusBadRequest, map[string]string{"error": "malformed"}
	}
	s.state.Hook = in.URL
	return http.StatusOK, in
}

// Customer does something as the customer, and posts the webhook if there is an address for it. It
// returns the webhook's body, so that a script may post it itself, also more than once. An error says
// that the webhook was not taken; the customer has done it nevertheless.
func (s *Server) Customer(ctx context.Context, ev Event) (Event, error) {
	s.mu.Lock()
	s.state.Next++
	ev.ID, ev.Time = fmt.Sprintf("e-%d", s.state.Next), time.Now().Unix()
	m := s.find(ev.Message)
	switch {
	case ev.Kind == "message":
		m = &Message{ID: s.id(), From: ev.From, Text: ev.Text, Quote: ev.Quote}
		s.state.Messages = append(s.state.Messages, m)
		ev.Message = m.ID
	case m == nil: // about something that the provider has lost
	case ev.Kind == "reaction":
		m.reaction(ev.From, ev.Emoji)
	case ev.Kind == "edit":
		m.Text, m.Edited = ev.Text, true
	case ev.Kind == "revoke":
		m.Text, m.Revoked = "", true
	case ev.Kind == "read":
		m.Read = true
	}
	hook, err := s.state.Hook, s.save()
	s.mu.Unlock()
	if err != nil || hook == "" {
		return ev, err
	}
	text, err := json.Marshal(ev)
	if err != nil {
		return ev, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, hook, bytes.NewReader(text))
	if err != nil {
		return ev, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ev, err
	}
	_ = resp.Body.Close()
	if resp.StatusCode >= 300 {
		return ev, fmt.Errorf("webhook: %s", resp.Status)
	}
	return ev, nil
}
