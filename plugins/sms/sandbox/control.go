package sandbox

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const maxControl = 16 << 20 // bytes of a control request, which may contain pictures in base64

// controlRoutes are the sandbox's own API (README.md). It has no login, because a sandbox listens
// on this machine only; requests from pages of other origins are refused.
func (s *Sandbox) controlRoutes(mux *http.ServeMux) {
	guard := http.NewCrossOriginProtection()
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /_sandbox":                         s.serveSelf,
		"PUT /_sandbox/account":                 s.putAccount,
		"PUT /_sandbox/numbers":                 s.putNumber,
		"DELETE /_sandbox/numbers/{number}":     s.deleteNumber,
		"GET /_sandbox/rules":                   s.serveRules,
		"DELETE /_sandbox/rules":                s.deleteRules,
		"DELETE /_sandbox/rules/{id}":           s.deleteRule,
		"POST /_sandbox/behaviours":             s.postBehaviour,
		"POST /_sandbox/faults":                 s.postFault,
		"POST /_sandbox/texts":                  s.postText,
		"POST /_sandbox/texts/{sid}/replay":     s.postReplay,
		"GET /_sandbox/ledger":                  s.serveLedger,
		"POST /_sandbox/reset":                  s.postReset,
		"GET /_sandbox/phones":                  s.servePhones,
		"POST /_sandbox/phones":                 s.postPhone,
		"GET /_sandbox/phones/{phone}/messages": s.serveThread,
		"GET /_sandbox/events":                  s.serveEvents,
	} {
		mux.Handle(pattern, guard.Handler(h))
	}
}

// refuse answers a control request that could not be carried out.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, ErrInvalid):
		status = http.StatusBadRequest
	case errors.Is(err, ErrClosed):
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, map[string]string{"error": err.Error()})
}

// body decodes the request's body; false when it was wrong and was answered with 400.
func body(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := decode(w, r, maxControl, v); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "the body is not the JSON that is wanted: " + err.Error()})
		return false
	}
	return true
}

// Self is the answer to GET /_sandbox.
type Self struct {
	AccountSID string   `json:"account_sid"`
	AuthToken  string   `json:"auth_token"`
	URL        string   `json:"url"`
	PhonePage  string   `json:"phone_page"`
	Numbers    []Number `json:"numbers"`
}

func (s *Sandbox) serveSelf(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.Self())
}

// Self describes the sandbox: its credentials, its URLs and its numbers.
func (s *Sandbox) Self() Self {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Self{AccountSID: s.state.Account.SID, AuthToken: s.state.Account.AuthToken, URL: s.baseURL(), PhonePage: s.baseURL() + "/phones", Numbers: []Number{}}
	for _, n := range s.state.numbers {
		out.Numbers = append(out.Numbers, n)
	}
	slices.SortFunc(out.Numbers, func(a, b Number) int { return strings.Compare(a.Number, b.Number) })
	return out
}

// putAccount replaces the auth token: from now on only the new one signs webhooks and is accepted.
func (s *Sandbox) putAccount(w http.ResponseWriter, r *http.Request) {
	var in struct {
		AuthToken string `json:"auth_token"`
	}
	if !body(w, r, &in) {
		return
	}
	if in.AuthToken == "" {
		refuse(w, invalid("auth_token: must not be empty"))
		return
	}
	acc := s.Account()
	acc.AuthToken = in.AuthToken
	if err := s.record(&entry{Account: &acc})(); err != nil {
		refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, s.Self())
}

func (s *Sandbox) putNumber(w http.ResponseWriter, r *http.Request) {
	var n Number
	if !body(w, r, &n) {
		return
	}
	if err := s.SetNumber(n); err != nil {
		refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, n)
}

func (s *Sandbox) deleteNumber(w http.ResponseWriter, r *http.Request) {
	number := r.PathValue("number")
	if _, ok := s.number(number); !ok {
		http.NotFound(w, r)
		return
	}
	if err := s.record(&entry{Gone: number})(); err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

type ruleList struct {
	Behaviours []Behaviour `json:"behaviours"`
	Faults     []Fault     `json:"faults"`
}

func (s *Sandbox) serveRules(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	out := s.rulesLocked()
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, out)
}

func (s *Sandbox) rulesLocked() ruleList {
	return ruleList{append([]Behaviour{}, s.rules.behaviours...), append([]Fault{}, s.rules.faults...)}
}

func (s *Sandbox) deleteRules(w http.ResponseWriter, _ *http.Request) {
	s.ClearRules()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Sandbox) deleteRule(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	s.mu.Lock()
	before := len(s.rules.behaviours) + len(s.rules.faults)
	s.rules.behaviours = slices.DeleteFunc(s.rules.behaviours, func(b Behaviour) bool { return b.ID == id })
	s.rules.faults = slices.DeleteFunc(s.rules.faults, func(f Fault) bool { return f.ID == id })
	gone := before != len(s.rules.behaviours)+len(s.rules.faults)
	s.tellRules()
	s.mu.Unlock()
	if err != nil || !gone {
		http.NotFound(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Sandbox) postBehaviour(w http.ResponseWriter, r *http.Request) {
	var b Behaviour
	if !body(w, r, &b) {
		return
	}
	b, err := s.AddBehaviour(b)
	if err != nil {
		refuse(w, err)
		return
	}
	writeJSON(w, http.StatusCreated, b)
}

func (s *Sandbox) postFault(w http.ResponseWriter, r *http.Request) {
	var f Fault
	if !body(w, r, &f) {
		return
	}
	f, err := s.AddFault(f)
	if err != nil {
		refuse(w, err)
		return
	}
	writeJSON(w, http.StatusCreated, f)
}

// postText sends a text from a handset; with ?wait=1 the answer comes after the webhook was
// answered.
func (s *Sandbox) postText(w http.ResponseWriter, r *http.Request) {
	var t Text
	if !body(w, r, &t) {
		return
	}
	do := s.Post
	if r.URL.Query().Get("wait") == "1" {
		do = s.Send
	}
	m, err := do(t)
	if err != nil {
		refuse(w, err)
		return
	}
	writeJSON(w, http.StatusCreated, m)
}

func (s *Sandbox) postReplay(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Copies int `json:"copies"`
	}
	if !body(w, r, &in) {
		return
	}
	m, err := s.Replay(r.PathValue("sid"), max(1, in.Copies))
	if err != nil {
		refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, m)
}

// Ledger is everything that the sandbox has taken and sent, oldest first.
type Ledger struct {
	Inbound  []Message `json:"inbound"`  // what handsets wrote, with the webhooks' answers
	Outbound []Message `json:"outbound"` // what was sent to handsets, with the callbacks' answers
}

// Ledger returns a copy, which does not change any more.
func (s *Sandbox) Ledger() Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := Ledger{Inbound: []Message{}, Outbound: []Message{}}
	for _, m := range s.state.order {
		if m.Direction == directionInbound {
			l.Inbound = append(l.Inbound, m.copyOut())
		} else {
			l.Outbound = append(l.Outbound, m.copyOut())
		}
	}
	return l
}

func (s *Sandbox) serveLedger(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(s.Ledger())
}

// postReset removes messages, handsets, the block list and the rules; account and numbers stay.
// Messages under way are removed, too.
func (s *Sandbox) postReset(w http.ResponseWriter, _ *http.Request) {
	s.ClearRules()
	if err := s.record(&entry{Reset: true})(); err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
