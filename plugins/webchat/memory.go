package webchat

// With more sockets than manySockets the process saves memory, and with fewer than fewSockets it
// saves time.
const manySockets, fewSockets = 1000, 700

// trimEvery is how many ticks pass between two checks whether traffic is low.
const trimEvery = 10

// memory decides by the number of sockets whether the process saves memory or time. What thousands
// of idle sockets keep is small and long-lived: letting the heap grow to twice that, as Go does by
// default, costs more memory per socket than collecting more often costs time. With few sockets it
// is the other way round. When heavy traffic is over (many sockets opened, a burst of messages),
// the memory that it needed, including grown stacks, is given back to the system once. The zero
// value does nothing. It is used by the hub's ticking goroutine only.
type memory struct {
	setGC func(percent int) int
	free  func()

	thrifty bool
	frames  uint64 // frames received at the last check
	stirred bool   // there was traffic since memory was last given back
}

// tune is called at each tick with the tick's number, the number of open sockets, and the frames
// received so far.
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
	// Idle clients send nothing except the answer to a ping every 25 s.
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
