package system_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// started counts the conversations in the log.
func (d *demo) started() (n int) {
	d.t.Helper()
	for _, e := range d.events() {
		if e.Type == "conversation.started/1" {
			n++
		}
	}
	return n
}

// PR7: a hundred tabs of one visitor ask for a conversation at once. All that are
// let through by the visitor's rate are in the same one.
func TestOneVisitorAHundredTabs(t *testing.T) {
	d := startDemo(t, "")
	ctx := bounded(t, time.Minute)
	dial := func(token string) (*drive.Customer, error) {
		return drive.DialCustomer(ctx, drive.CustomerOptions{URL: d.chatURL(), Site: "demo", Token: token})
	}
	first, err := dial("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.Close)
	if err := first.Register(ctx); err != nil {
		t.Fatal(err)
	}
	const tabs = 100
	var wg sync.WaitGroup
	var mu sync.Mutex
	in := map[string]int{}
	begin := make(chan struct{})
	for i := range tabs {
		c, err := dial(first.Token)
		if err != nil {
			t.Fatalf("tab %d: %v", i, err)
		}
		t.Cleanup(c.Close)
		wg.Go(func() {
			<-begin
			conversation, err := c.Start(ctx, fmt.Sprint("tab-", i), map[string]string{"name": "Cora", "message": fmt.Sprint("from tab ", i)})
			var refused *drive.RefusedError
			if errors.As(err, &refused) && refused.Code == "rate" {
				return
			}
			if err != nil {
				t.Errorf("tab %d: %v", i, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			in[conversation]++
		})
	}
	close(begin)
	wg.Wait()
	if len(in) != 1 {
		t.Errorf("the tabs are in conversations %v, want one", in)
	}
	for _, n := range in {
		if n < 2 {
			t.Errorf("%d tabs were let through, want several: the test shows nothing", n)
		}
	}
	if n := d.started(); n != 1 {
		t.Errorf("the log has %d conversations, want 1", n)
	}
}

// PR7, Y3: a hundred texts of one number never seen before, at once.
func TestOneNumberAHundredTexts(t *testing.T) {
	d := startDemo(t, "")
	const texts = 100
	var wg sync.WaitGroup
	for i := range texts {
		c := d.carrier()
		wg.Go(func() {
			status, err := c.Text(t.Context(), sid(i), "+12125550100", fmt.Sprint("text ", i))
			for n := 0; n < 20 && err == nil && status == 503; n++ { // as carriers do
				status, err = c.Text(t.Context(), sid(i), "+12125550100", fmt.Sprint("text ", i))
			}
			if err != nil || status != 200 {
				t.Errorf("text %d: %d, %v", i, status, err)
			}
		})
	}
	wg.Wait()
	in := map[string]int{}
	for text, streams := range d.texts() {
		if len(streams) != 1 {
			t.Errorf("%s is in %v, want once", text, streams)
		}
		in[streams[0]]++
	}
	if len(in) != 1 {
		t.Errorf("the texts are in conversations %v, want one", in)
	}
	for _, n := range in {
		if n != texts {
			t.Errorf("%d texts are in the log, want %d", n, texts)
		}
	}
	if n := d.started(); n != 1 {
		t.Errorf("the log has %d conversations, want 1", n)
	}
}
