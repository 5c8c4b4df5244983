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

// soloQuiet is how long the plugin must have been given nothing before a suspect
// is sent; soloProbation is how long a suspect then stays alone, growing with
// each crash up to the maximum.
const (
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
}

func (o *solo) active() bool { return !o.until.IsZero() && time.Now().Before(o.until) }

func (o *solo) settleCommand(d *dispatch) {
	if o.item.command == d {
		o.item, o.until = soloItem{}, time.Time{}
	}
}

func (o *solo) settleHook(c *hookCall) {
	if o.item.hook == c {
		o.item, o.until = soloItem{}, time.Time{}
	}
}

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
	o.item, o.until = soloItem{}, time.Time{}
	for o.waiting.len() > 0 {
		item, _ := o.waiting.peek()
		if item.hook != nil && !item.hook.abandoned.IsZero() {
			o.waiting.drop()
			continue
		}
		if quiet := now.Sub(o.last); quiet < soloQuiet && s.underway() > 0 {
			s.pokeAfter(soloQuiet - quiet)
			return nil, true
		}
		o.waiting.drop()
		probation := min(soloProbationMax, soloProbation<<max(0, min(4, s.poison.count(item.key())-suspectAfter)))
		o.item, o.until = item, now.Add(probation)
		s.pokeAfter(probation)
		if item.command != nil {
			s.sendCommand(item.command)
			return commandsFrame(item.command.frame), true
		}
		s.sendHook(item.hook)
		return hooksFrame(item.hook.frame), true
	}
	return nil, false
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
