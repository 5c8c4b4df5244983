package limit

import "time"

// Refund gives back a token that Allow took from key's bucket: what turned
// out to be legitimate does not count. A bucket never holds more than its burst.
func (r *Rates[K]) Refund(key K, now time.Time) {
	if r == nil || r.perSecond <= 0 {
		return
	}
	b := r.bucket(key)
	if b.TokensAt(now) <= float64(r.burst-1) {
		b.AllowN(now, -1)
	}
}

// RetryAfter is how long key must wait for its next token; 0 when it has one.
func (r *Rates[K]) RetryAfter(key K, now time.Time) time.Duration {
	if r == nil || r.perSecond <= 0 {
		return 0
	}
	missing := 1 - r.bucket(key).TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing / float64(r.perSecond) * float64(time.Second))
}
