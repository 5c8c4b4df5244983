package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// routes are what a script can do, below /p/phone/.
func (p *phone) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"phone": "ready"})
	})
	mux.HandleFunc("POST /accounts/{account}/calls", p.ringIn)
	mux.HandleFunc("GET /calls/{session}", p.show)
	mux.HandleFunc("POST /calls/{session}", p.press)
	return mux
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone needs no answer
}

func refuse(w http.ResponseWriter, status int, code string) {
	answer(w, status, map[string]string{"error": code})
}

// read decodes a request's body; false: it was answered with 400.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		refuse(w, http.StatusBadRequest, "malformed")
		return false
	}
	return true
}

// ringIn lets somebody call.
func (p *phone) ringIn(w http.ResponseWriter, r *http.Request) {
	var in struct{ From, Name, Called, Locale string }
	if !read(w, r, &in) {
		return
	}
	account := sdk.AccountID(r.PathValue("account"))
	if _, ok := p.accounts.Get(account); !ok || in.From == "" {
		refuse(w, http.StatusBadRequest, "account_or_from")
		return
	}
	c, ok := p.add(sdk.SessionID(uuid.Must(uuid.NewV7()).String()), account, sdk.ThreadID(in.From))
	if !ok {
		refuse(w, http.StatusServiceUnavailable, "draining")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &leg{Leg: sdk.Leg{
		ID: sdk.LegID(uuid.Must(uuid.NewV7()).String()), Party: sdk.Party{Kind: "customer", Name: in.Name}, Kind: sdk.LegSIP, State: sdk.LegRinging,
	}}
	c.legs[l.ID], c.order = l, append(c.order, l.ID)
	if err := c.emit(r.Context(), sdk.CallIncoming{
		Session: c.id, From: sdk.Address{Address: in.From, Name: in.Name}, Called: in.Called, Leg: l.Leg, Locale: in.Locale,
	}); err != nil {
		p.remove(c)
		p.failed(w, err)
		return
	}
	answer(w, http.StatusCreated, map[string]any{"session": c.id, "leg": l.ID})
}

// failed answers for an event that was not stored.
func (p *phone) failed(w http.ResponseWriter, err error) {
	var refused *sdk.RefusedError
	if errors.As(err, &refused) {
		refuse(w, http.StatusConflict, refused.Code)
		return
	}
	refuse(w, http.StatusServiceUnavailable, "not_stored")
}

// shown is a call, for scripts.
type shown struct {
	Session sdk.SessionID `json:"session"`
	Active  bool          `json:"active"`
	Legs    []shownLeg    `json:"legs"`
}

type shownLeg struct {
	Leg   sdk.LegID    `json:"leg"`
	Kind  string       `json:"party"`
	State sdk.LegState `json:"state"`
	Muted bool         `json:"muted"`
	Hears []sdk.LegID  `json:"hears"`
}

func (p *phone) show(w http.ResponseWriter, r *http.Request) {
	c := p.find(sdk.SessionID(r.PathValue("session")))
	if c == nil {
		refuse(w, http.StatusNotFound, "no_such_call")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	out := shown{Session: c.id, Active: c.active}
	for _, id := range c.order {
		l := c.legs[id]
		out.Legs = append(out.Legs, shownLeg{Leg: id, Kind: l.Party.Kind, State: l.State, Muted: l.Muted, Hears: l.hears})
	}
	answer(w, http.StatusOK, out)
}

// press does what a party does at its end: answers, presses keys, is busy, hangs up.
func (p *phone) press(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Do     string    `json:"do"`
		Leg    sdk.LegID `json:"leg"`
		Digits string    `json:"digits"`
	}
	if !read(w, r, &in) {
		return
	}
	c := p.find(sdk.SessionID(r.PathValue("session")))
	if c == nil {
		refuse(w, http.StatusNotFound, "no_such_call")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.legs[in.Leg]
	if l == nil {
		refuse(w, http.StatusNotFound, "no_such_leg")
		return
	}
	if err := c.press(r.Context(), l, in.Do, in.Digits); errors.Is(err, errNoKey) {
		refuse(w, http.StatusBadRequest, "malformed")
		return
	} else if err != nil {
		p.failed(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"session": c.id})
}

var errNoKey = errors.New("nothing that a telephone can do")

func (c *call) press(ctx context.Context, l *leg, do, digits string) error {
	switch do {
	case "answer":
		return c.state(ctx, l, sdk.LegUp, "", "")
	case "busy":
		return c.state(ctx, l, sdk.LegEnded, "busy", "486")
	case "hang_up":
		return c.state(ctx, l, sdk.LegEnded, "hangup", "")
	case "digits":
		if l.playing != "" {
			return c.stop(ctx, l, false, digits)
		}
		return c.emit(ctx, sdk.CallDigits{Session: c.id, Leg: l.ID, Digits: digits})
	}
	return errNoKey
}
