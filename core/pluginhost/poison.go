package pluginhost

import (
	"crypto/sha256"
	"sync"
	"time"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Poison is an item that ends the plugin which handles it (PR10). What was
// under way in two crashes is suspect: the next generation gets suspects one
// at a time with nothing else beside them, and only an item that ends the
// plugin while it is alone is parked.
const (
	suspectAfter = 2
	parkFor      = time.Hour
	maxSuspects  = 4096
	maxParked    = 1024
)

// poisonKey names an item over generations: a command's id, or a digest of a
// hook, so that a carrier's repeat of it is recognized too.
type poisonKey [32]byte

func commandKey(id [16]byte) (k poisonKey) {
	copy(k[:], id[:])
	return k
}

func hookKey(parts ...[]byte) poisonKey {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
		h.Write([]byte{0})
	}
	return poisonKey(h.Sum(nil))
}

// poison remembers suspects and parked hooks of one plugin. It is safe for
// concurrent use.
type poison struct {
	mu      sync.Mutex
	crashes map[poisonKey]int
	parked  map[poisonKey]time.Time // until
}

func newPoison() *poison {
	return &poison{crashes: map[poisonKey]int{}, parked: map[poisonKey]time.Time{}}
}

// crash counts items that were under way when a generation crashed.
func (p *poison) crash(keys []poisonKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range keys {
		if _, known := p.crashes[k]; known || len(p.crashes) < maxSuspects {
			p.crashes[k]++
		}
	}
}

func (p *poison) count(k poisonKey) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.crashes[k]
}

func (p *poison) suspect(k poisonKey) bool { return p.count(k) >= suspectAfter }

// any reports whether digests of hooks need to be made at all.
func (p *poison) any() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.crashes)+len(p.parked) > 0
}

func (p *poison) clear(k poisonKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.crashes, k)
}

func (p *poison) park(k poisonKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.crashes, k)
	now := time.Now()
	for old, until := range p.parked {
		if now.After(until) || len(p.parked) >= maxParked {
			delete(p.parked, old)
		}
	}
	p.parked[k] = now.Add(parkFor)
}

func (p *poison) isParked(k poisonKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.parked[k])
}

// soloGap is how long ordinary traffic flows before the first suspect, and at
// most before each later one, so that a flood of poison stops nobody else's
// messages. soloQuiet is how long the plugin
// must have been given nothing before a suspect is sent; soloProbation is how long a suspect then stays alone, growing with
// each crash up to the maximum.
const (
	soloGap          = 100 * time.Millisecond
	soloQuiet        = 250 * time.Millisecond
	soloProbation    = time.Second
	soloProbationMax = 8 * time.Second
)

type soloItem struct {
	command *dispatch
	hook    *hookCall
}

func (i soloItem) key() poisonKey {
	if i.command != nil {
		return commandKey(i.command.id)
	}
	return i.hook.poisonKey()
}

// solo delivers suspects one at a time. Guarded by the session's mutex.
type solo struct {
	waiting queue[soloItem]
	item    soloItem
	until   time.Time // the item is alone until then; zero = none is
	last    time.Time // last dispatch of a command or hook
	began   time.Time // when the item was sent
	rest    time.Time // ordinary traffic flows until then
	armed   time.Time // when the writer will be woken
}

func (o *solo) active() bool { return !o.until.IsZero() && time.Now().Before(o.until) }

func (o *solo) settleCommand(d *dispatch) {
	if o.item.command == d {
		o.release()
	}
}

func (o *solo) settleHook(c *hookCall) {
	if o.item.hook == c {
		o.release()
	}
}

// release ends an item's being alone; others get as much time as it took.
func (o *solo) release() {
	now := time.Now()
	o.item, o.until, o.rest = soloItem{}, time.Time{}, now.Add(min(soloGap, now.Sub(o.began)))
}

// full reports whether another suspect would only wait and keep a place from
// somebody else.
func (o *solo) full() bool { return o.waiting.len() > 0 || !o.until.IsZero() }

// quarantine puts the next suspect in front of an otherwise idle plugin and
// reports whether other commands and hooks are held back meanwhile.
func (s *session) quarantine() (frame *pluginv1.HostFrame, held bool) {
	o := &s.solo
	if o.until.IsZero() && o.waiting.len() == 0 {
		return nil, false
	}
	now := time.Now()
	if now.Before(o.until) {
		return nil, true
	}
	if !o.until.IsZero() { // probation passed
		o.release()
		s.announceIfWanted()
	}
	for o.waiting.len() > 0 {
		item, _ := o.waiting.peek()
		if item.hook != nil && !item.hook.abandoned.IsZero() {
			o.waiting.drop()
			continue
		}
		if gap := o.rest.Sub(now); gap > 0 {
			s.wakeAt(now, gap)
			return nil, false
		}
		if quiet := now.Sub(o.last); quiet < soloQuiet && s.underway() > 0 {
			s.wakeAt(now, soloQuiet-quiet)
			return nil, true
		}
		o.waiting.drop()
		probation := min(soloProbationMax, soloProbation<<max(0, min(4, s.poison.count(item.key())-suspectAfter)))
		o.item, o.began, o.until = item, now, now.Add(probation)
		s.wakeAt(now, probation)
		if item.command != nil {
			s.sendCommand(item.command)
			return commandsFrame(item.command.frame), true
		}
		s.sendHook(item.hook)
		return hooksFrame(item.hook.frame), true
	}
	return nil, false
}

// wakeAt wakes the writer after d, with one timer for many callers.
func (s *session) wakeAt(now time.Time, d time.Duration) {
	at := now.Add(d)
	if s.solo.armed.After(now) && !s.solo.armed.After(at) {
		return // it will look again then
	}
	s.solo.armed = at
	time.AfterFunc(d, s.poke)
}

// underway counts what the plugin has and did not answer.
func (s *session) underway() int {
	n := 0
	for _, c := range s.hooks {
		if c.sent {
			n++
		}
	}
	for _, d := range s.window.flight {
		if d.sent {
			n++
		}
	}
	return n
}
