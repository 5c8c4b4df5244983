package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// Sockets measures the memory of idle customers' sockets in open conversations.
type Sockets struct {
	Sockets int           // customers, each in an open conversation, who do nothing
	Settle  time.Duration // how long they are idle before memory is measured
	Dir     string        // data folder; "" = a temporary one
}

// Run prints the figures to w.
func (c Sockets) Run(ctx context.Context, w io.Writer) error {
	return inDir(c.Dir, func(dir string) error { return c.run(ctx, w, dir) })
}

func (c Sockets) run(ctx context.Context, w io.Writer, dir string) (err error) {
	sys, err := startSystem(ctx, dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.stop()) }()
	if err := sys.apply(ctx, chatRecords(1)); err != nil {
		return err
	}
	warm, err := c.open(ctx, sys, 20) // loads the code and fills the pools that the first use of everything needs
	if err != nil {
		return err
	}
	defer closeAll(warm)
	if err := wait(ctx, 3*time.Second); err != nil {
		return err
	}
	before := sys.used()
	all, err := c.open(ctx, sys, c.Sockets)
	if err != nil {
		return err
	}
	defer closeAll(all)
	atOnce := sys.used()
	if err := wait(ctx, c.Settle); err != nil {
		return err
	}
	after := sys.used()
	for i, s := range all {
		select {
		case <-s.Closed():
			return fmt.Errorf("socket %d was closed: %w", i, s.CloseReason())
		default:
		}
	}
	each := func(u usage) float64 { return float64(u.rss-before.rss) / 1024 / float64(c.Sockets) }
	_, err = fmt.Fprintf(w, "%s\n%d idle sockets in open conversations, plain HTTP, proxy hop included\nRSS of all processes: %d MiB before, %d MiB after: %.1f KiB each (%.1f KiB right after opening)\n",
		machine(), c.Sockets, before.rss>>20, after.rss>>20, each(after), each(atOnce))
	return err
}

func closeAll(cs []*drive.Customer) {
	for _, c := range cs {
		if c != nil {
			c.Close()
		}
	}
}

// open connects n visitors, each with an open conversation.
func (c Sockets) open(ctx context.Context, sys *system, n int) ([]*drive.Customer, error) {
	all := make([]*drive.Customer, n)
	var mu sync.Mutex
	var first error
	var wg sync.WaitGroup
	next := make(chan int)
	for range 16 {
		wg.Go(func() {
			for i := range next {
				s, err := drive.DialCustomer(ctx, drive.CustomerOptions{URL: sys.chatSocket(), Site: "bench"})
				if err == nil {
					all[i] = s
					_, err = s.Start(ctx, fmt.Sprintf("s%d", i), map[string]string{"first_name": "Idle", "message": "hello"})
				}
				if err != nil {
					mu.Lock()
					first = errors.Join(first, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	for i := range n {
		mu.Lock()
		failed := first != nil
		mu.Unlock()
		if failed {
			break
		}
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	if first != nil {
		closeAll(all)
	}
	return all, first
}
