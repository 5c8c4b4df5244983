package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// call is a call that this process holds. It lives in memory only, as media do: with the process it
// is gone.
type call struct {
	phone   *phone
	id      sdk.SessionID
	account sdk.AccountID
	thread  sdk.ThreadID

	mu     sync.Mutex
	legs   map[sdk.LegID]*leg
	order  []sdk.LegID
	events int // emitted so far, for dedupe keys
	active bool
	ended  bool
}

type leg struct {
	sdk.Leg
	hears   []sdk.LegID
	playing sdk.CommandID // "" = nothing
	ring    *time.Timer   // ends a leg that nobody answers
}

var errNoLeg = errors.New("no such leg")

// emit reports something of the call and waits until it is durable. The caller holds mu, so that
// events are in the order in which things happened.
func (c *call) emit(ctx context.Context, body sdk.EventBody) error {
	c.events++
	_, err := c.phone.host.Emit(ctx, sdk.Event{
		Account: c.account, Thread: c.thread, DedupeKey: fmt.Sprintf("%s/%d", c.id, c.events), Body: body,
	})
	return err
}

// state brings a leg into a state and reports it. A leg that has ended stays so.
func (c *call) state(ctx context.Context, l *leg, s sdk.LegState, cause, code string) error {
	if l.State == s || l.State == sdk.LegEnded {
		return nil
	}
	l.State, l.Audio, l.Cause, l.Code = s, s == sdk.LegUp, cause, code
	if l.ring != nil && s != sdk.LegRinging && s != sdk.LegDialling {
		l.ring.Stop()
		l.ring = nil
	}
	if err := c.emit(ctx, sdk.CallLeg{Session: c.id, Leg: l.Leg}); err != nil {
		return err
	}
	return c.settle(ctx)
}

// settle reports that the call is active, or has ended, once it is so.
func (c *call) settle(ctx context.Context) error {
	up, live, cause, code := 0, 0, "hangup", ""
	for _, id := range c.order {
		switch l := c.legs[id]; l.State {
		case sdk.LegUp, sdk.LegHeld:
			up++
			live++
		case sdk.LegEnded:
			cause, code = l.Cause, l.Code
		default:
			live++
		}
	}
	if up >= 2 && !c.active {
		c.active = true
		return c.emit(ctx, sdk.CallState{Session: c.id, State: sdk.SessionActive})
	}
	if live == 0 && !c.ended {
		c.ended = true
		c.phone.remove(c)
		return c.emit(ctx, sdk.CallEnded{Session: c.id, Cause: cause, Code: code})
	}
	return nil
}

// join adds a leg that rings at somebody's, and lets the script go on with it.
func (c *call) join(ctx context.Context, id sdk.LegID, kind sdk.LegKind, party sdk.Party, to string, ring time.Duration) error {
	if c.legs[id] != nil {
		return nil // the command came again
	}
	l := &leg{Leg: sdk.Leg{ID: id, Party: party, Kind: kind}}
	c.legs[id] = l
	c.order = append(c.order, id)
	if err := c.state(ctx, l, sdk.LegRinging, "", ""); err != nil {
		return err
	}
	conf, _ := c.phone.accounts.Get(c.account)
	switch {
	case strings.HasSuffix(to, "0001"):
		return c.state(ctx, l, sdk.LegEnded, "busy", "486")
	case strings.HasSuffix(to, "0002"), conf.Manual:
		if ring == 0 {
			ring = time.Minute
		}
		l.ring = time.AfterFunc(ring, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			_ = c.state(c.phone.ctx, l, sdk.LegEnded, "no_answer", "480") // only the end of the process keeps it from being stored
		})
		return nil
	}
	return c.state(ctx, l, sdk.LegUp, "", "")
}

// with runs f on a leg, or with "" on every one.
func (c *call) with(id sdk.LegID, f func(*leg) error) error {
	if id != "" {
		l := c.legs[id]
		if l == nil {
			return errNoLeg
		}
		return f(l)
	}
	for _, id := range slices.Clone(c.order) {
		if err := f(c.legs[id]); err != nil {
			return err
		}
	}
	return nil
}

// stop reports that what plays to a leg is over.
func (c *call) stop(ctx context.Context, l *leg, cancelled bool, digits string) error {
	if l.playing == "" {
		return nil
	}
	id := l.playing
	l.playing = ""
	return c.emit(ctx, sdk.CallPlayed{Session: c.id, Leg: l.ID, Command: id, Digits: digits, Cancelled: cancelled})
}

// Call implements sdk.CallCommander.
func (p *phone) Call(ctx context.Context, cmd *sdk.CallCommand) sdk.Result {
	c := p.find(cmd.Session)
	if dial, ok := cmd.Do.(sdk.CallDial); ok && c == nil {
		if dial.To == "" {
			return sdk.Failed(sdk.KindAddress, "no_number", "There is no number to dial.")
		}
		// Whoever rings must not be rung again by a repeat that nobody noticed.
		if err := cmd.Begin(ctx); err != nil {
			return sdk.Retry(sdk.KindTemporary, "not_begun", "", 0)
		}
		if c, ok = p.add(cmd.Session, cmd.Account, cmd.Thread); !ok {
			return sdk.Failed(sdk.KindTemporary, "draining", "The telephone takes no new calls.")
		}
	}
	if c == nil {
		return sdk.Failed(sdk.KindInternal, "no_such_call", "The telephone holds no such call.")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch err := c.do(ctx, cmd); {
	case errors.Is(err, errNoLeg):
		return sdk.Failed(sdk.KindInternal, "no_such_leg", "The call has no such leg.")
	case err != nil:
		return sdk.Unknown("not_reported", "")
	}
	return sdk.Sent()
}

func (c *call) do(ctx context.Context, cmd *sdk.CallCommand) error {
	switch do := cmd.Do.(type) {
	case sdk.CallDial:
		return c.join(ctx, do.Leg, sdk.LegSIP, do.Party, do.To, do.Ring)
	case sdk.CallInvite:
		return c.join(ctx, do.Leg, sdk.LegWeb, do.Party, "", do.Ring)
	case sdk.CallRing:
		return c.with(do.Leg, func(*leg) error { return nil })
	case sdk.CallAnswer:
		return c.with(do.Leg, func(l *leg) error { return c.state(ctx, l, sdk.LegUp, "", "") })
	case sdk.CallHearing:
		return c.hear(do.Legs)
	case sdk.CallHold:
		return c.with(do.Leg, func(l *leg) error {
			switch {
			case do.On && l.State == sdk.LegUp:
				return c.state(ctx, l, sdk.LegHeld, "", "")
			case !do.On && l.State == sdk.LegHeld:
				return c.state(ctx, l, sdk.LegUp, "", "")
			}
			return nil
		})
	case sdk.CallMute:
		return c.with(do.Leg, func(l *leg) error {
			if l.Muted == do.On {
				return nil
			}
			l.Muted = do.On
			return c.emit(ctx, sdk.CallLeg{Session: c.id, Leg: l.Leg})
		})
	case sdk.CallPlay:
		return c.with(do.Leg, func(l *leg) error {
			if l.playing == cmd.ID {
				return nil
			}
			if err := c.stop(ctx, l, true, ""); err != nil {
				return err
			}
			l.playing = cmd.ID
			if do.Loop || do.Digits > 0 {
				return nil // until it is stopped, or keys are pressed
			}
			return c.stop(ctx, l, false, "")
		})
	case sdk.CallStop:
		return c.with(do.Leg, func(l *leg) error { return c.stop(ctx, l, true, "") })
	case sdk.CallHangUp:
		cause := do.Cause
		if cause == "" {
			cause = "hangup"
		}
		return c.with(do.Leg, func(l *leg) error { return c.state(ctx, l, sdk.LegEnded, cause, "") })
	}
	return nil // keys that nobody hears
}

// hear records who hears whom. A leg that is not named hears nobody.
func (c *call) hear(legs []sdk.LegHears) error {
	for _, one := range legs {
		for _, id := range append([]sdk.LegID{one.Leg}, one.Hears...) {
			if c.legs[id] == nil {
				return errNoLeg
			}
		}
	}
	for _, l := range c.legs {
		l.hears = nil
	}
	for _, one := range legs {
		c.legs[one.Leg].hears = one.Hears
	}
	return nil
}
