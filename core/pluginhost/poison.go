package pluginhost

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/parley-gateway/parley/core/conversation"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Poison is an item that ends the plugin which handles it (PR10). An item that was under way in two
// crashes is suspect: the next generation gets the suspects one at a time, with nothing else beside
// them, and only an item that ends the plugin while it is alone is parked.
//
// If a sender varies each item, no item becomes suspect. So the sources of the items under way are
// counted too: the address from which a webhook came, the thread of a command. Everything from a
// suspect source is tried alone. If a sender varies its address as well, all webhooks from
// addresses that never had a good answer are tried alone, for as long as the attack goes on.
// Carriers, whose signed webhooks were answered with a 2xx, are not affected.
//
// A carrier and a stranger may share an address, behind a proxy that does not pass on the client's
// address. A source with a 2xx in the last minutes is therefore never treated as a stranger,
// whatever else came from it: the item that ends the plugin is parked, and the rest is tried alone.
const (
	suspectAfter = 2
	suspectFor   = time.Hour // counted from the last crash
	parkFor      = time.Hour
	maxSuspects  = 4096 // bounds the suspect items, and also the suspect sources
	maxParked    = 1024
	maxKnown     = 4096 // sources that had a good answer

	// parkStrikes are added to a source whose item ended the plugin while it was alone: this many
	// good answers clear the source again.
	parkStrikes = 6
	maxStrikes  = 16
	// knownFor is how long after a 2xx a source stays known even if one of its items was parked.
	knownFor = 10 * time.Minute
	// After waryAfter crashes with a stranger's webhook under way, all strangers' webhooks are
	// tried alone, until waryFor after the last such crash.
	waryAfter = 4
	waryFor   = 10 * time.Minute
)

// poisonKey identifies an item in every generation: a command's id, or a digest of a hook, so that
// a carrier's repeat of the hook is recognized too.
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

// source is what all items of one sender have in common.
type source struct {
	account conversation.AccountID
	addr    netip.Addr // of a hook: the address, or for IPv6 its /64 network
	thread  string     // of a command: its thread
}

// hookSource is the source of a webhook from ip, an address in text form.
func hookSource(account conversation.AccountID, ip string) source {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return source{account: account}
	}
	if addr = addr.Unmap(); addr.Is6() {
		if net, err := addr.Prefix(64); err == nil {
			addr = net.Addr()
		}
	}
	return source{account: account, addr: addr}
}

// lane is the way in which an item is sent to the plugin.
type lane int

const (
	laneOrdinary lane = iota
	laneAlone         // one item at a time, with nothing beside it
	// laneStranger is like laneAlone, for webhooks of suspect sources that never had a good answer.
	// They are tried after all other suspects, and few may wait, so that a flood of them does not
	// keep other suspects from being tried.
	laneStranger
	// laneLast is like laneAlone, for commands of a thread whose items were parked: whoever sends one
	// such message sends more, and each costs a generation. They are tried after all other suspects,
	// so that commands which were only under way beside poison do not wait until all of it is parked.
	laneLast
)

// underSuspicion counts crashes. The zero value means: not suspected.
type underSuspicion struct {
	crashes int
	last    time.Time
}

func (u *underSuspicion) strike(n int, now time.Time) {
	u.crashes, u.last = min(u.crashes+n, maxStrikes), now
}

// poison remembers suspects and parked hooks of one plugin. Safe for concurrent use.
type poison struct {
	mu        sync.Mutex
	items     map[poisonKey]underSuspicion
	sources   map[source]underSuspicion
	strangers underSuspicion
	known     map[source]time.Time    // when each source last had a 2xx, accurate to a minute
	parked    map[poisonKey]time.Time // until when each hook is parked
	parks     []time.Time             // when items were parked in the last moments
	took      time.Duration           // how long the last parked item took, from being sent to the plugin's end
	swept     time.Time
	told      rate.Sometimes // limits how often this is logged
}

func newPoison() *poison {
	return &poison{
		items: map[poisonKey]underSuspicion{}, sources: map[source]underSuspicion{},
		known: map[source]time.Time{}, parked: map[poisonKey]time.Time{},
		told: rate.Sometimes{Interval: time.Minute},
	}
}

// sweep forgets expired suspicions. The caller holds the mutex.
func (p *poison) sweep(now time.Time) {
	p.swept = now
	expired := func(u underSuspicion) bool { return now.Sub(u.last) > suspectFor }
	maps.DeleteFunc(p.items, func(_ poisonKey, u underSuspicion) bool { return expired(u) })
	maps.DeleteFunc(p.sources, func(_ source, u underSuspicion) bool { return expired(u) })
	maps.DeleteFunc(p.parked, func(_ poisonKey, until time.Time) bool { return now.After(until) })
	if now.Sub(p.strangers.last) > waryFor {
		p.strangers = underSuspicion{}
	}
}

// calm reports whether nothing is under suspicion. The caller holds the mutex.
func (p *poison) calm() bool {
	if len(p.items)+len(p.sources)+len(p.parked)+p.strangers.crashes == 0 {
		return true
	}
	if now := time.Now(); now.Sub(p.swept) > time.Minute {
		p.sweep(now)
		return p.calm()
	}
	return false
}

// crash counts the items that were under way when a generation crashed.
func (p *poison) crash(list []suspect) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.sweep(now)
	stranger := false
	sources := map[source]bool{}
	for _, one := range list {
		strike(p.items, one.key, 1, now)
		sources[one.source] = true
		stranger = stranger || one.hook && !p.knows(one.source)
	}
	for src := range sources {
		strike(p.sources, src, 1, now)
	}
	if stranger {
		p.strangers.strike(1, now)
	}
	trim(p.items)
	trim(p.sources)
}

func strike[K comparable](m map[K]underSuspicion, k K, n int, now time.Time) {
	u := m[k]
	u.strike(n, now)
	m[k] = u
}

// trim keeps the maxSuspects entries of m with the most, and then the latest, crashes.
func trim[K comparable](m map[K]underSuspicion) {
	if len(m) <= maxSuspects {
		return
	}
	keys := slices.SortedFunc(maps.Keys(m), func(a, b K) int {
		return cmp.Or(cmp.Compare(m[a].crashes, m[b].crashes), m[a].last.Compare(m[b].last))
	})
	for _, k := range keys[:len(keys)-maxSuspects] {
		delete(m, k)
	}
}

func (p *poison) knows(src source) bool {
	_, ok := p.known[src]
	return ok
}

func (p *poison) count(k poisonKey) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.items[k].crashes
}

// command returns the lane in which a command is sent.
func (p *poison) command(k poisonKey, src source) lane {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.calm():
		return laneOrdinary
	case p.sources[src].crashes >= parkStrikes:
		return laneLast
	case p.items[k].crashes >= suspectAfter, p.sources[src].crashes >= suspectAfter:
		return laneAlone
	}
	return laneOrdinary
}

// hook returns the lane in which a hook is sent; parked: it is not sent. The hook's digest is only
// computed while something is under suspicion.
func (p *poison) hook(c *hookCall) (l lane, parked bool) {
	p.mu.Lock()
	calm := p.calm()
	p.mu.Unlock()
	if calm {
		return laneOrdinary, false
	}
	k := c.poisonKey()
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.knows(c.source)
	switch {
	case time.Now().Before(p.parked[k]):
		return laneOrdinary, true
	case !known && (p.sources[c.source].crashes >= suspectAfter || p.strangers.crashes >= waryAfter):
		return laneStranger, false
	case p.items[k].crashes >= suspectAfter, p.sources[c.source].crashes >= suspectAfter:
		return laneAlone, false
	}
	return laneOrdinary, false
}

// answered says that the plugin has survived a hook. Only a 2xx counts in favour of the hook's
// source, since anybody can get a 4xx.
func (p *poison) answered(c *hookCall, status uint32) {
	good := status >= 200 && status < 300
	now := time.Now()
	p.mu.Lock()
	if last, known := p.known[c.source]; good && now.Sub(last) > time.Minute {
		if !known && len(p.known) >= maxKnown {
			for old := range p.known { // remove any one of them
				delete(p.known, old)
				break
			}
		}
		p.known[c.source] = now
	}
	calm := p.calm()
	p.mu.Unlock()
	if calm {
		return
	}
	k := c.poisonKey()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.items, k)
	if good {
		p.acquit(c.source)
	}
}

// settled says that the plugin has survived a command.
func (p *poison) settled(k poisonKey, src source) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.calm() {
		delete(p.items, k)
		p.acquit(src)
	}
}

// acquit removes one strike from a source. The caller holds the mutex.
func (p *poison) acquit(src source) {
	u, ok := p.sources[src]
	if u.crashes--; u.crashes > 0 {
		p.sources[src] = u
	} else if ok {
		delete(p.sources, src)
	}
}

// park stops an item from being sent again that ended the plugin while it was alone, within took.
// shared: other webhooks of its source had a 2xx in the last minutes, so the address seems to be
// used both by a carrier and by another sender.
func (p *poison) park(one suspect, took time.Duration) (shared bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.sweep(now)
	delete(p.items, one.key)
	strike(p.sources, one.source, parkStrikes, now)
	trim(p.sources)
	p.parks, p.took = append(p.recentParks(now), now), took
	if !one.hook { // a command is settled now, so it cannot come again
		return false
	}
	last, known := p.known[one.source]
	if !known {
		p.strangers.strike(1, now)
	}
	if shared = known && now.Sub(last) < knownFor; !shared {
		delete(p.known, one.source)
	}
	if len(p.parked) >= maxParked {
		first := slices.MinFunc(slices.Collect(maps.Keys(p.parked)), func(a, b poisonKey) int { return p.parked[a].Compare(p.parked[b]) })
		delete(p.parked, first)
	}
	p.parked[one.key] = now.Add(parkFor)
	return shared
}

// recentParks are the parkings that still slow down further trials. The caller holds the mutex.
func (p *poison) recentParks(now time.Time) []time.Time {
	return slices.DeleteFunc(p.parks, func(at time.Time) bool { return now.Sub(at) > soloMemory })
}

// gap is how long other traffic flows before the next stranger is tried in a new generation. It
// grows with the number of suspects that have just ended a generation, and is at least the time
// that the last one took to do so (a freeze is found only after a while).
func (p *poison) gap() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parks = p.recentParks(time.Now()); len(p.parks) == 0 {
		return soloGap
	}
	return p.took + min(soloGapMax, soloGap*time.Duration(1+len(p.parks)))
}

// suspect is an item that was under way in a crash.
type suspect struct {
	key    poisonKey
	source source
	hook   bool
}

// soloGap is how long ordinary traffic flows before the first suspect is sent, and at most before
// each later one, so that a flood of poison does not stop other messages. Before a stranger's
// webhook the gap grows, up to soloGapMax, with the number of items parked within soloMemory, since
// a sender of one such webhook can send very many. soloQuiet is how long the plugin must have been
// given nothing before a suspect is sent. soloProbation is how long a suspect then stays alone; it
// grows with each crash up to the maximum. A stranger's webhook does not wait for soloQuiet, since
// there may be many, and is alone until its answer or for strangerProbation, long enough to find a
// freeze.
const (
	soloGap           = 100 * time.Millisecond
	soloGapMax        = 500 * time.Millisecond
	soloMemory        = 10 * time.Second
	soloQuiet         = 250 * time.Millisecond
	soloProbation     = time.Second
	soloProbationMax  = 8 * time.Second
	strangerGap       = 10 * time.Millisecond
	strangerProbation = 2 * time.Second
	maxStrangers      = 64 // how many may wait; more are refused
	maxLast           = 16 // how many of laneLast may be at the plugin host; more are refused
	// othersPause is how long a command of laneLast waits for other suspects that were refused a
	// place, before it is tried all the same: the core may have given them up meanwhile.
	othersPause = time.Second
)

type soloItem struct {
	command *dispatch
	hook    *hookCall
	lane    lane
}

func (i soloItem) suspect() suspect {
	if i.command != nil {
		return i.command.suspect()
	}
	return i.hook.suspect()
}

// solo sends suspects one at a time. Guarded by the session's mutex.
type solo struct {
	waiting   queue[soloItem]
	strangers queue[soloItem] // of laneStranger and laneLast, sent after all of waiting
	lasts     int             // how many of strangers are of laneLast
	others    time.Time       // until then suspects that were refused are expected; zero = none are
	item      soloItem
	until     time.Time // until then the item is alone; zero = no item is being tried
	last      time.Time // when a command or hook was last sent
	began     time.Time // when the item was sent
	rest      time.Time // until then only ordinary traffic is sent
	closed    time.Time // until then no item of strangers is tried
	armed     time.Time // when the writer will be woken next
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

// release ends the trial of an item; other traffic then gets as much time as the trial took.
func (o *solo) release() {
	now := time.Now()
	rest := min(soloGap, now.Sub(o.began))
	if o.item.lane == laneStranger {
		rest = max(rest, strangerGap)
	}
	o.item, o.until, o.rest = soloItem{}, time.Time{}, now.Add(rest)
	if !o.others.IsZero() {
		o.others = now.Add(othersPause) // their place is free now
	}
}

// room reports whether a suspect of this lane may be taken, and remembers which are refused.
func (o *solo) room(in lane) bool {
	switch {
	case in == laneAlone && o.full():
		o.others = time.Now().Add(othersPause)
		return false
	case in == laneLast:
		return o.lasts < maxLast
	}
	return true
}

// push takes a suspect; room said that it may.
func (o *solo) push(i soloItem) {
	switch i.lane {
	case laneLast:
		o.lasts++
		o.strangers.push(i)
	case laneStranger:
		o.strangers.push(i)
	default:
		o.others = time.Time{} // it was expected
		o.waiting.push(i)
	}
}

// drop removes the first item of line.
func (o *solo) drop(line *queue[soloItem]) {
	if i, ok := line.pop(); ok && i.lane == laneLast {
		o.lasts--
	}
}

// earliest is when an item may be tried.
func (o *solo) earliest(in lane) time.Time {
	at := o.rest
	if (in == laneStranger || in == laneLast) && o.closed.After(at) {
		at = o.closed
	}
	if in == laneLast && o.others.After(at) {
		at = o.others
	}
	return at
}

// full reports whether another suspect would only wait, and take up a place that others could use.
func (o *solo) full() bool { return o.waiting.len() > 0 || !o.until.IsZero() }

// line is the queue whose first item is tried next; nil = none waits.
func (o *solo) line() *queue[soloItem] {
	switch {
	case o.waiting.len() > 0:
		return &o.waiting
	case o.strangers.len() > 0:
		return &o.strangers
	}
	return nil
}

// quarantine sends the next suspect to the plugin when nothing else is under way, and reports
// whether other commands and hooks must wait meanwhile.
func (s *session) quarantine() (frame *pluginv1.HostFrame, held bool) {
	o := &s.solo
	if o.until.IsZero() && o.line() == nil {
		return nil, false
	}
	now := time.Now()
	if now.Before(o.until) {
		return nil, true
	}
	if !o.until.IsZero() { // the probation is over
		o.release()
		s.announceIfWanted()
	}
	for line := o.line(); line != nil; line = o.line() {
		item, _ := line.peek()
		if item.hook != nil && !item.hook.abandoned.IsZero() {
			o.drop(line)
			continue
		}
		if gap := o.earliest(item.lane).Sub(now); gap > 0 {
			s.wakeAt(now, gap)
			return nil, false
		}
		if quiet := now.Sub(o.last); item.lane != laneStranger && quiet < soloQuiet && s.underway() > 0 {
			s.wakeAt(now, soloQuiet-quiet)
			return nil, true
		}
		o.drop(line)
		probation := strangerProbation
		if item.lane != laneStranger {
			probation = min(soloProbationMax, soloProbation<<max(0, min(4, s.poison.count(item.suspect().key)-suspectAfter)))
		}
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

// wakeAt wakes the writer after d. Callers share one timer.
func (s *session) wakeAt(now time.Time, d time.Duration) {
	at := now.Add(d)
	if s.solo.armed.After(now) && !s.solo.armed.After(at) {
		return // the writer will look again before then
	}
	s.solo.armed = at
	time.AfterFunc(d, s.poke)
}

// underway counts the items that the plugin has and has not answered.
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
