package sdk_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
)

func command(id, account, thread string) *pluginv1.Command {
	return &pluginv1.Command{
		CommandId: id, Account: account, Thread: thread, Kind: &pluginv1.Command_Send{Send: &pluginv1.Send{To: "x"}},
	}
}

func send(t *testing.T, ses *wirehost.Session, cmds ...*pluginv1.Command) {
	t.Helper()
	if err := ses.Command(cmds...); err != nil {
		t.Fatal(err)
	}
}

func outcome(t *testing.T, ses *wirehost.Session, id string) pluginv1.Outcome {
	t.Helper()
	it := wait(t, ses, "the result of "+id, func(it wirehost.Item) bool { return it.Event.GetResult().GetCommandId() == id })
	return it.Event.GetResult().GetOutcome()
}

func TestAccountsDoNotStarveEachOther(t *testing.T) {
	release := make(chan struct{})
	r := start(t, sdk.Abilities{Sender: sdk.SendFunc(func(_ context.Context, c *sdk.SendCommand) sdk.Result {
		if c.Account == "hangs" {
			<-release
		}
		return sdk.Sent()
	})})
	ses := r.open(t, 0, wirehost.Policy{})
	for i := range 32 {
		send(t, ses, command(fmt.Sprintf("slow-%d", i), "hangs", fmt.Sprint(i)))
	}
	send(t, ses, command("quick", "works", "t"))
	outcome(t, ses, "quick")
	pong(t, ses, 1)
	close(release)
	for i := range 32 {
		outcome(t, ses, fmt.Sprintf("slow-%d", i))
	}
}

func TestCommandsOfAThreadKeepOrder(t *testing.T) {
	var mu sync.Mutex
	last := map[sdk.ThreadID]string{}
	r := start(t, sdk.Abilities{Sender: sdk.SendFunc(func(_ context.Context, c *sdk.SendCommand) sdk.Result {
		mu.Lock()
		defer mu.Unlock()
		if string(c.ID) <= last[c.Thread] {
			return sdk.Failed(sdk.KindInternal, "order", "")
		}
		last[c.Thread] = string(c.ID)
		return sdk.Sent()
	})})
	ses := r.open(t, 0, wirehost.Policy{})
	var ids []string
	for i := range 500 {
		id := fmt.Sprintf("c-%06d", i)
		ids = append(ids, id)
		send(t, ses, command(id, "a", fmt.Sprint(i%37)))
	}
	for _, id := range ids {
		if got := outcome(t, ses, id); got != pluginv1.Outcome_OUTCOME_SENT {
			t.Fatalf("command %s came out of order", id)
		}
	}
}

// TestRepeatedDeliveries: which commands the host may send again after a lost session, and what
// happens to each.
func TestRepeatedDeliveries(t *testing.T) {
	var mu sync.Mutex
	calls := map[sdk.CommandID]int{}
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	r := start(t, sdk.Abilities{Sender: sdk.SendFunc(func(_ context.Context, c *sdk.SendCommand) sdk.Result {
		mu.Lock()
		calls[c.ID]++
		n := calls[c.ID]
		mu.Unlock()
		switch {
		case c.ID == "held":
			<-hold
		case c.ID == "fails-once" && n == 1:
			return sdk.Retry(sdk.KindTemporary, "busy", "", 0)
		}
		return sdk.Sent()
	})})
	t.Cleanup(release) // runs before the test waits for the plugin, also when it fails
	ses := r.open(t, 0, wirehost.Policy{Ack: mute})
	send(t, ses, command("held", "a", "1"), command("settled", "a", "2"), command("fails-once", "a", "3"))
	outcome(t, ses, "settled")
	outcome(t, ses, "fails-once")
	ses.Cut()

	ses = r.open(t, 0, wirehost.Policy{})
	again := func(id, thread string, attempt uint32) *pluginv1.Command {
		c := command(id, "a", thread)
		c.Attempt = attempt
		return c
	}
	send(t, ses, again("held", "1", 2), again("settled", "2", 2))
	outcome(t, ses, "settled")
	outcome(t, ses, "fails-once")
	pong(t, ses, 1) // then the Result's acknowledgement has arrived
	send(t, ses, again("fails-once", "3", 2), again("settled", "2", 3))
	release()
	outcome(t, ses, "held")
	pong(t, ses, 2)
	wait(t, ses, "the second attempt", func(it wirehost.Item) bool {
		return it.Event.GetResult().GetCommandId() == "fails-once" && it.Event.GetResult().GetOutcome() == pluginv1.Outcome_OUTCOME_SENT
	})
	mu.Lock()
	defer mu.Unlock()
	for id, want := range map[sdk.CommandID]int{"held": 1, "settled": 1, "fails-once": 2} {
		if calls[id] != want {
			t.Errorf("command %s was carried out %d times, want %d", id, calls[id], want)
		}
	}
	results := 0
	for _, it := range ses.Items() {
		if it.Event.GetResult().GetCommandId() == "settled" {
			results++
		}
	}
	if results < 2 {
		t.Errorf("a repeat after the acknowledgement was not answered again: %d results", results)
	}
}

func TestBeginFailsWithTheSession(t *testing.T) {
	began := make(chan error, 1)
	r := start(t, sdk.Abilities{Sender: sdk.SendFunc(func(ctx context.Context, c *sdk.SendCommand) sdk.Result {
		err := c.Begin(ctx)
		began <- err
		if err != nil {
			return sdk.Retry(sdk.KindTemporary, "begin", "", 0)
		}
		return sdk.Sent()
	})})
	ses := r.open(t, 0, wirehost.Policy{Begin: func(*pluginv1.Begin) *pluginv1.BeginAck { return nil }})
	send(t, ses, command("c", "a", "t"))
	wait(t, ses, "begin", func(it wirehost.Item) bool { return it.Begin != nil })
	ses.Cut()
	if err := <-began; err != sdk.ErrBeginRefused { //nolint:errorlint // exactly this one
		t.Errorf("Begin in a lost session: got %v, want ErrBeginRefused", err)
	}
	ses = r.open(t, 0, wirehost.Policy{})
	if got := outcome(t, ses, "c"); got != pluginv1.Outcome_OUTCOME_FAILED {
		t.Errorf("outcome %v, want a failure", got)
	}
}

func TestDrainWaits(t *testing.T) {
	release := make(chan struct{})
	r := start(t, sdk.Abilities{Sender: sdk.SendFunc(func(context.Context, *sdk.SendCommand) sdk.Result {
		<-release
		return sdk.Sent()
	})})
	ses := r.open(t, 0, wirehost.Policy{})
	send(t, ses, command("c", "a", "t"))
	pong(t, ses, 1)
	if _, err := r.client.Drain(t.Context(), &pluginv1.DrainRequest{LastCommandSeq: 1, DeadlineMs: 100}); err != nil {
		t.Fatalf("drain at its deadline: %v", err)
	}
	if n := countEvents(ses); n != 0 {
		t.Fatalf("%d events before the release", n)
	}
	drained := make(chan error, 1)
	go func() {
		_, err := r.client.Drain(context.Background(), &pluginv1.DrainRequest{LastCommandSeq: 1, DeadlineMs: 8000})
		drained <- err
	}()
	close(release)
	outcome(t, ses, "c")
	select {
	case err := <-drained:
		if err != nil {
			t.Errorf("drain: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("drain did not answer after the last result")
	}
}

func TestHookOverload(t *testing.T) {
	release := make(chan struct{})
	r := start(t, sdk.Abilities{
		Describer: sdk.DescribeFunc(func(context.Context) (sdk.Manifest, error) {
			return sdk.Manifest{ID: "rig", Delivery: sdk.Connected, Hook: &sdk.HookInfo{}}, nil
		}),
		Hooker: sdk.HookFunc(func(context.Context, *sdk.HookRequest) sdk.HookResponse {
			<-release
			return sdk.HookResponse{}
		}),
	})
	ses := r.open(t, 0, wirehost.Policy{})
	const n = 1024 + 16 + 100
	for i := range uint64(n) {
		if err := ses.Hook(&pluginv1.Hook{Id: i + 1}); err != nil {
			t.Fatal(err)
		}
	}
	it := wait(t, ses, "an answer in spite of slow hooks", func(it wirehost.Item) bool { return it.HookResult != nil })
	if it.HookResult.GetStatus() != 503 || it.HookResult.GetReason() != "overload" {
		t.Errorf("got %v, want 503 overload", it.HookResult)
	}
	pong(t, ses, 1)
	close(release)
	for i := range uint64(n) {
		wait(t, ses, "every answer", func(it wirehost.Item) bool { return it.HookResult.GetId() == i+1 })
	}
}
