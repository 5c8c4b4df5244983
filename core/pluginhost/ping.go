package pluginhost

import (
	"time"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// A plugin counts as frozen when as many pings in a row are unanswered as are sent in the silence that
// it declared, and the last one is 150 ms old. Without a declaration these are three: 1.15 to 1.65 s
// after the freeze (PR11), which leaves time for the next generation within 2 s. Pings are counted,
// and not time, so that a gateway that was itself stopped does not blame its plugins.
const (
	pingInterval = 500 * time.Millisecond
	pingGrace    = 150 * time.Millisecond
	// Bounds of the silence that a plugin may declare.
	minSilence = 1500 * time.Millisecond
	maxSilence = 30 * time.Second
	// hookMemory is how long a hook whose caller gave up is remembered, since it may still end the
	// plugin.
	hookMemory = 30 * time.Second
)

// pinger counts pings; its fields are guarded by the session's mutex.
type pinger struct {
	sent    uint64 // id of the newest ping
	seen    uint64 // id of the newest pong
	pending bool   // the newest ping is not written yet
	at      time.Time
	rtt     time.Duration
	serve   time.Time // until when accounts for one node may be served, as the newest ping says; zero: without bound
}

// silenceOf returns how long pings to the plugin may go unanswered.
func silenceOf(d *pluginv1.DescribeResponse) time.Duration {
	return min(maxSilence, max(minSilence, time.Duration(d.GetSilenceMs())*time.Millisecond))
}

// keepPinging runs in a goroutine of its own, since the writer may be blocked in Send.
func (s *session) keepPinging() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			return
		}
		next, alive := s.pingOnce()
		if !alive {
			s.fail(errUnresponsive)
			return
		}
		timer.Reset(next)
	}
}

func (s *session) pingOnce() (next time.Duration, alive bool) {
	var serve time.Time
	if s.serveFor != nil && s.said.Minor > 0 {
		if d := s.serveFor(); d > 0 {
			serve = time.Now().Add(d)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ping.serve = serve
	s.forgetHooks(time.Now().Add(-hookMemory))
	missed := uint64((s.silence + pingInterval - 1) / pingInterval)
	if s.ping.sent-s.ping.seen >= missed {
		return 0, false
	}
	s.ping.sent++
	s.ping.pending, s.ping.at = true, time.Now()
	s.poke()
	if s.ping.sent-s.ping.seen == missed {
		return pingGrace, true
	}
	return pingInterval, true
}

func (s *session) pong(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id > s.ping.seen && id <= s.ping.sent {
		if s.ping.seen == 0 {
			close(s.ponged)
		}
		s.ping.seen = id
		if id == s.ping.sent {
			s.ping.rtt = time.Since(s.ping.at)
		}
	}
}

func (s *session) pingTime() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ping.rtt
}
