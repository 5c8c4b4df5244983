package sms

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
)

const (
	checkTimeout   = 5 * time.Second
	checkWhenIll   = 30 * time.Second
	checkWhenSound = 10 * time.Minute
)

// health reports to the host whether accounts work, once for each change.
type health struct {
	mu   sync.Mutex
	host sdk.Host
	last map[sdk.AccountID]string // code of the last report; "" = the account works
}

func (h *health) attach(host sdk.Host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.host, h.last = host, map[sdk.AccountID]string{}
}

// report reports what the carrier's last answer means for the account. True: that is a change.
func (h *health) report(id sdk.AccountID, err error) bool {
	code, text := "", ""
	switch {
	case errors.Is(err, errUnauthorized):
		code, text = "unauthorized", errUnauthorized.Error()
	case err != nil:
		code, text = "unreachable", errUnreachable.Error()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if last, known := h.last[id]; h.host == nil || known && last == code {
		return false
	}
	h.last[id] = code
	h.host.Status(sdk.AccountStatus{Account: id, OK: code == "", Code: code, Text: text})
	return true
}

// ill reports an account that did not work when a message was sent, and makes watch check it from
// now on.
func (p *Plugin) ill(a *account, err error) {
	if p.health.report(a.id, err) {
		p.rouse()
	}
}

// rouse wakes watch, so that it checks the accounts now.
func (p *Plugin) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// watch checks all accounts with the carrier: at the start, after each new configuration, from time
// to time, and more often while one of them does not work.
func (p *Plugin) watch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			p.current.Load().closeUnless(nil)
			return
		case <-p.wake:
		case <-timer.C:
		}
		pause := checkWhenSound
		if !p.checkAll(ctx) {
			pause = checkWhenIll
		}
		timer.Reset(pause)
	}
}

// checkAll checks all accounts and reports whether all of them work.
func (p *Plugin) checkAll(ctx context.Context) bool {
	all := p.current.Load()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var wg sync.WaitGroup
	results := make(map[*client]error, len(all.clients))
	var mu sync.Mutex
	for _, c := range all.clients {
		wg.Go(func() {
			err := c.check(ctx)
			mu.Lock()
			defer mu.Unlock()
			results[c] = err
		})
	}
	wg.Wait()
	well := true
	for id, a := range all.byID {
		err := results[a.client]
		p.health.report(id, err)
		well = well && err == nil
	}
	return well
}
