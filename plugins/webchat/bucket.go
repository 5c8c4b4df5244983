package webchat

// bucket is a token bucket without a timer. The zero value is ready to use: it
// is filled to its burst when it is first asked.
type bucket struct {
	tokens float32
	last   int64 // milliseconds of the last use; 0 = never used
}

// take removes n tokens at time now (milliseconds, above 0) and reports
// whether they were there. It refills rate tokens a second up to burst.
func (b *bucket) take(now int64, n, rate, burst float32) bool {
	if b.last == 0 {
		b.tokens = burst
	} else if now > b.last {
		b.tokens = min(burst, b.tokens+rate*float32(now-b.last)/1000)
	}
	b.last = now
	if b.tokens < n {
		return false
	}
	b.tokens -= n
	return true
}
