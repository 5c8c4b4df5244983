package pluginhost

import "time"

// A plugin is taken for frozen when the third of three unanswered pings is
// 150 ms old: found 1.15 to 1.65 s after the freeze (PR11), which leaves time
// for the next generation within 2 s. Pings are counted, not time: a gateway
// that was itself stopped does not blame its plugins.
const (
	pingInterval = 500 * time.Millisecond
	pingGrace    = 150 * time.Millisecond
	pingsMissed  = 3
	// hookMemory is how long a hook whose caller gave up is remembered: it
	// may still be what ends the plugin.
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

// keepPinging has a goroutine of its own, since the writer may be stuck in Send.
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
