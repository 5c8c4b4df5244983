package system_test

import (
	"errors"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// FT24, Q3: one address queues as many customers as it may and no more,
// whatever visitors and sockets it makes, and those who close their tabs leave
// the queue, also when that was before their start was answered.
func TestPhantomCustomers(t *testing.T) {
	d := startDemo(t, "")
	d.apply(strictSite)
	ctx := bounded(t, 2*time.Minute)
	dial := func() (c *drive.Customer) {
		eventually(t, "the site to be served", 10*time.Second, func() bool {
			var err error
			c, err = drive.DialCustomer(ctx, drive.CustomerOptions{URL: d.chatURL(), Site: "few"})
			return err == nil
		})
		return c
	}
	taken, refused := 0, 0
	for i := range 20 {
		c := dial()
		_, err := c.Start(ctx, id("phantom", i), map[string]string{"first_name": "P", "message": "boo"})
		var r *drive.RefusedError
		switch {
		case err == nil:
			taken++
		case errors.As(err, &r) && r.Code == "rate":
			refused++
		default:
			t.Fatal(err)
		}
		c.Close()
	}
	if taken != 5 || refused != 15 {
		t.Errorf("of 20 customers of one address %d were queued and %d refused, want 5 and 15", taken, refused)
	}
	if n := metric(d.metrics(), "parley_plugin_webchat_address_starts_refused_total"); n != refused {
		t.Errorf("parley_plugin_webchat_address_starts_refused_total = %d, want %d", n, refused)
	}
	// And on a site without that limit: nobody waits for the answer.
	for i := range 10 {
		c, err := drive.DialCustomer(ctx, drive.CustomerOptions{URL: d.chatURL(), Site: "hasty"})
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Write([]byte(`{"t":"register"}`))
		_ = c.Write([]byte(`{"t":"start","client_id":"` + id("hasty", i) + `","form":{"message":"boo"}}`))
		c.Close()
	}
	eventually(t, "everybody who has gone leaves the queue", 60*time.Second, func() bool {
		return metric(d.metrics(), "parley_queue_waiting", `service="Strict"`) == 0 && ended(d.events()) >= taken
	})
}

// ended counts conversations that were started and are over; the test fails
// later if one is started and never over.
func ended(events []logged) (n int) {
	open := map[string]bool{}
	for _, e := range events {
		switch e.Type {
		case "conversation.started/1":
			open[e.Stream] = true
		case "conversation.ended/1":
			delete(open, e.Stream)
			n++
		}
	}
	if len(open) > 0 {
		return 0
	}
	return n
}
