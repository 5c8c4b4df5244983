package readers

import (
	"context"
	"sync"
)

// pump runs subscriptions that have something to do on a few goroutines.
type pump struct {
	mu    sync.Mutex
	ready []*Subscription
	wake  chan struct{}
}

func newPump() *pump { return &pump{wake: make(chan struct{}, 1)} }

func (p *pump) add(s *Subscription) {
	p.mu.Lock()
	p.ready = append(p.ready, s)
	p.mu.Unlock()
	p.poke()
}

func (p *pump) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pump) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
		for {
			p.mu.Lock()
			batch := p.ready
			if len(batch) > 32 {
				batch, p.ready = batch[:32:32], batch[32:]
				p.poke() // another goroutine of the pump may take the rest
			} else {
				p.ready = nil
			}
			p.mu.Unlock()
			if len(batch) == 0 {
				break
			}
			for _, s := range batch {
				s.run(ctx)
			}
		}
	}
}
