package sdk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// retakeLeft is how much time a ping must leave for the plugin to take accounts again that it has on
// standby: more than its Configure should need. A gateway that woke up too late leaves 1 ms.
const retakeLeft = 2 * time.Second

// serving bounds for how long the accounts for one node are served without news of the host, whose
// pings say how long no other node can serve them. A host that stands still cannot take them away.
type serving struct {
	mu     sync.Mutex
	timer  *time.Timer
	until  time.Time // zero: without bound
	lapsed bool      // the time is over, and no ping has left enough since
	closed bool
	// Guarded by Server.configMu:
	last    *pluginv1.ConfigureRequest // the last one that was accepted
	one     map[string]bool            // which of its accounts one node at a time serves
	givenUp bool                       // the plugin has them on standby for that
}

// serveFor says that the accounts for one node may be served for d from now on; 0 = without bound.
func (s *Server) serveFor(d time.Duration) {
	v := &s.serving
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return
	}
	if v.timer != nil {
		v.timer.Stop()
	}
	v.until = time.Time{}
	if d > 0 {
		v.until = time.Now().Add(d)
		v.timer = time.AfterFunc(d, s.lapse)
	}
	if v.lapsed && (d == 0 || d >= retakeLeft) {
		v.lapsed = false
		s.work.Go(s.followServing)
	}
}

// lapse is called when the time that serveFor named may be over.
func (s *Server) lapse() {
	v := &s.serving
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed || v.lapsed || v.until.IsZero() || time.Now().Before(v.until) {
		return
	}
	v.lapsed = true
	s.work.Go(s.followServing)
}

// followServing has the plugin give up its accounts for one node, or take them again. If the plugin
// cannot, the process ends.
func (s *Server) followServing() {
	s.configMu.Lock()
	defer s.configMu.Unlock()
	v := &s.serving
	v.mu.Lock()
	if v.givenUp && !v.lapsed && !v.until.IsZero() && time.Until(v.until) < retakeLeft {
		v.lapsed = true // much time has gone by since the ping; a newer one says more
	}
	lapsed, closed := v.lapsed, v.closed
	v.mu.Unlock()
	if closed || v.last == nil || v.givenUp == lapsed {
		return
	}
	cfg := configFromWire(v.last)
	changed := false
	for i := range cfg.Accounts {
		if a := &cfg.Accounts[i]; lapsed && a.Enabled && v.one[string(a.ID)] {
			a.Enabled, a.Standby, changed = false, true, true
		}
	}
	if lapsed && !changed {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, configureDeadline)
	defer cancel()
	err := errors.New("the plugin panicked")
	s.guard("configure", func() { err = s.abilities.Configurer.Configure(ctx, cfg) })
	if err != nil {
		s.log.Error("accounts for one node could not be switched", "standby", lapsed, "err", err)
		// If they are not taken again the host does not know, and its commands would be refused for good.
		select {
		case s.stop <- fmt.Errorf("switch accounts for one node: %w", err):
		default:
		}
		return
	}
	v.givenUp = lapsed
	s.log.Warn("switched accounts for one node", "standby", lapsed)
}

// noteServing keeps what was accepted. The caller holds configMu.
func (s *Server) noteServing(ctx context.Context, req *pluginv1.ConfigureRequest, traits []*pluginv1.AccountTraits) error {
	m, err := s.manifest(ctx)
	if err != nil {
		return err
	}
	v := &s.serving
	v.last, v.one, v.givenUp = req, map[string]bool{}, false
	for _, a := range req.GetAccounts() {
		v.one[a.GetId()] = m.SingleNode
	}
	for _, t := range traits {
		if p := t.GetPlacement(); p != pluginv1.Placement_PLACEMENT_UNSPECIFIED {
			v.one[t.GetAccount()] = p == pluginv1.Placement_PLACEMENT_ONE
		}
	}
	v.mu.Lock()
	v.lapsed = false // the host has just called
	v.mu.Unlock()
	return nil
}

// closeServing ends the watch.
func (s *Server) closeServing() {
	s.serving.mu.Lock()
	defer s.serving.mu.Unlock()
	s.serving.closed = true
	if s.serving.timer != nil {
		s.serving.timer.Stop()
	}
}
