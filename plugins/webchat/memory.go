package webchat

// Numbers of sockets above which, and below which, memory counts more than time.
const manySockets, fewSockets = 1000, 700

// trimEvery is how often memory looks for a quiet time, in ticks.
const trimEvery = 10

// memory trades memory for time by the number of sockets. What thousands of
// idle ones keep is small and long-lived: letting the heap grow to twice that,
// as Go does by itself, costs more per socket than collecting more often costs
// time. With few sockets it is the other way round. When a storm is over
// (many sockets opened, a burst of messages), what it needed goes back to the
// system once, stacks that had grown included. The zero value does nothing.
// It belongs to the hub's ticking goroutine.
type memory struct {
	setGC func(percent int) int
	free  func()

	thrifty bool
	frames  uint64 // seen at the last look
	stirred bool   // there was traffic since the last trim
}

// tune is called at each tick with its number, the open sockets, and the
// frames received so far.
func (m *memory) tune(turn int, sockets int64, frames uint64) {
	if m.setGC == nil {
		return
	}
	switch {
	case !m.thrifty && sockets > manySockets:
		m.thrifty, m.stirred = true, true
		m.setGC(40)
	case m.thrifty && sockets < fewSockets:
		m.thrifty = false
		m.setGC(100)
	}
	if !m.thrifty || turn%trimEvery != 0 {
		return
	}
	// Idle clients answer a ping each 25 s and send nothing else.
	quiet := frames-m.frames < uint64(sockets)
	m.frames = frames
	switch {
	case !quiet:
		m.stirred = true
	case m.stirred:
		m.stirred = false
		m.free()
	}
}
