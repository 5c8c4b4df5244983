package pluginhost

import "time"

// A plugin counts as frozen when three pings in a row are unanswered and the third one is 150 ms
// old. This is 1.15 to 1.65 s after the freeze (PR11), which leaves time for the next generation
// within 2 s. Pings are counted, and not time, so that a gateway that was itself stopped does not
// blame its plugins.
const (
	pingInterval = 500 * time.Millisecond
	pingGrace    = 150 * time.Millisecond
	pingsMissed  = 3
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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetHooks(time.Now().Add(-hookMemory))
	if s.ping.sent-s.ping.seen >= pingsMissed {
		return 0, false
	}
	s.ping.sent++
	s.ping.pending, s.ping.at = true, time.Now()
	s.poke()
	if s.ping.sent-s.ping.seen == pingsMissed {
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
