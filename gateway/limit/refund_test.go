package limit_test

import (
	"testing"
	"time"

	"github.com/parley-gateway/parley/gateway/limit"
)

func TestRefund(t *testing.T) {
	now := time.Now()
	r := limit.NewRates[string](0.5, 2, 10)
	for i := range 10 {
		if !r.Allow("k", now) {
			t.Fatalf("attempt %d: refused although all before were refunded", i)
		}
		r.Refund("k", now)
	}
	r.Refund("k", now) // more than was taken
	for i, want := range []bool{true, true, false} {
		if got := r.Allow("k", now); got != want {
			t.Errorf("attempt %d without refund: allowed %v, want %v", i, got, want)
		}
	}
	if got := r.RetryAfter("k", now); got != 2*time.Second {
		t.Errorf("RetryAfter: got %v, want 2s", got)
	}
	if got := r.RetryAfter("other", now); got != 0 {
		t.Errorf("RetryAfter of a fresh key: got %v, want 0", got)
	}
}
