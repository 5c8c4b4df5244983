package system_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// ledger is the outside view: what was acknowledged, under which id.
type ledger struct {
	mu    sync.Mutex
	acked map[string]bool
	sent  map[string]bool
}

func (l *ledger) note(m map[string]bool, id string) {
	l.mu.Lock()
	m[id] = true
	l.mu.Unlock()
}

// visitor writes messages one after the other, through kills and reconnects:
// each until it is acknowledged, always under the same client id.
func (l *ledger) visitor(ctx context.Context, d *demo, n int) error {
	var c *drive.Customer
	token, started := "", false
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for k := 0; ctx.Err() == nil; {
		if c == nil {
			dial, cancel := context.WithTimeout(ctx, 5*time.Second)
			next, err := drive.DialCustomer(dial, drive.CustomerOptions{URL: d.chatURL(), Site: "demo", Token: token})
			cancel()
			if err != nil {
				select {
				case <-time.After(20 * time.Millisecond): // as a widget backs off
				case <-ctx.Done():
				}
				continue
			}
			c = next
		}
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		client := fmt.Sprintf("v%d-%d", n, k)
		var err error
		if !started {
			_, err = c.Start(call, client, map[string]string{"first_name": "V", "message": "start " + client})
			token = c.Token
		} else {
			l.note(l.sent, client)
			_, err = c.Say(call, client, "text "+client)
		}
		cancel()
		var refused *drive.RefusedError
		switch {
		case err == nil:
			if started {
				l.note(l.acked, client)
			}
			started = true
			k++
		case errors.As(err, &refused) && refused.Code != "unavailable" && refused.Code != "overload" && refused.Code != "rate":
			return fmt.Errorf("message %s: %w", client, err)
		default:
			c.Close()
			c = nil
		}
	}
	return nil
}

// PR1, PR3, PR9, FT1, FT5: kill -9 of gateway and plugin at random under load;
// nothing acknowledged is missing, nothing is there twice.
func TestKills(t *testing.T) {
	d := startDemo(t, "")
	var plan []strike
	for i := range rounds(6) {
		plan = append(plan, d.killer([]string{"serve", "webchat"}[i%2]))
	}
	d.chats(plan)
}

// PR1, PR3, PR9, PR11, FT4: the chat plugin freezes and wakes up when its place is
// taken.
func TestChatFreezes(t *testing.T) {
	d := startDemo(t, "")
	plan := []strike{d.freezer("webchat", 5*time.Second)}
	if n := freezes(); n > 0 {
		plan = mixed(n, []strike{d.freezer("webchat", 5*time.Second), d.freezer("webchat", 15*time.Second), d.freezer("webchat", 30*time.Second)})
	}
	d.chats(plan)
}

// chats lets visitors write, strikes at random moments, and compares what was
// acknowledged with the log.
func (d *demo) chats(plan []strike) {
	t := d.t
	t.Helper()
	l := &ledger{acked: map[string]bool{}, sent: map[string]bool{}}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	faults := make(chan error, 64)
	for n := range 16 {
		wg.Go(func() {
			if err := l.visitor(ctx, d, n); err != nil {
				faults <- err
			}
		})
	}
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	var slowest time.Duration
	for _, s := range plan {
		<-time.After(time.Duration(300+rng.IntN(900)) * time.Millisecond) // the moment is random on purpose
		s.do()
		began, before := time.Now(), l.count()
		eventually(t, "acknowledgement after "+s.what, 30*time.Second, func() bool { return l.count() > before })
		slowest = max(slowest, time.Since(began))
	}
	stop()
	wg.Wait()
	close(faults)
	for err := range faults {
		t.Error(err)
	}
	seen := map[string]int{}
	for _, e := range d.events() {
		if e.Type == "message/1" {
			seen[e.Head.ClientID]++
		}
	}
	missing, doubled := 0, 0
	for id := range l.acked {
		if seen[id] == 0 {
			missing++
		}
	}
	for id, n := range seen {
		if n > 1 {
			doubled++
			t.Logf("%s is there %d times", id, n)
		}
	}
	t.Logf("%d strikes, %d messages sent, %d acknowledged, slowest resumption %v: %d missing, %d doubled", len(plan), len(l.sent), len(l.acked), slowest, missing, doubled)
	if missing != 0 || doubled != 0 || len(l.acked) == 0 {
		t.Errorf("acknowledged but missing: %d; doubled: %d; acknowledged in all: %d", missing, doubled, len(l.acked))
	}
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}
