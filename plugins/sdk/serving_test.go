package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
)

// When a host that stands still sends no pings any more, the plugin has its accounts for one node on
// standby once the time is over that the last ping named, and takes them again with the next ping.
func TestHostStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var seen []string
		var fail error
		r := newRig(t, sdk.Abilities{
			Describer: sdk.DescribeFunc(func(context.Context) (sdk.Manifest, error) {
				return sdk.Manifest{ID: "rig", Delivery: sdk.StoreAndForward, SingleNode: true}, nil
			}),
			Configurer: sdk.ConfigureFunc(func(_ context.Context, cfg *sdk.Config) error {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, fmt.Sprint(cfg.Accounts[0].Enabled, cfg.Accounts[0].Standby))
				return fail
			}),
		})
		defer r.close()
		want := func(when string, list ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if got := strings.Join(seen, ", "); got != strings.Join(list, ", ") {
				t.Errorf("%s: configured %s, want %v", when, got, list)
			}
			seen = nil
		}
		configure := func() {
			t.Helper()
			_, err := r.client.Configure(t.Context(), &pluginv1.ConfigureRequest{Accounts: []*pluginv1.Account{{Id: "a", Enabled: true}}})
			if err != nil {
				t.Fatal(err)
			}
		}
		configure()
		ses := r.open(t, 0, wirehost.Policy{})
		ping := func(id uint64, d time.Duration) {
			t.Helper()
			frame := &pluginv1.HostFrame{Frame: &pluginv1.HostFrame_Ping{Ping: &pluginv1.Ping{Id: id, ServeMs: uint32(d.Milliseconds())}}}
			if err := ses.Send(frame); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		on, standby := "true false", "false true"
		ping(1, 0)
		time.Sleep(time.Hour)
		want("without bound", on)
		ping(2, 10*time.Second)
		time.Sleep(9 * time.Second)
		ping(3, 10*time.Second)
		time.Sleep(9 * time.Second)
		want("in time")
		time.Sleep(2 * time.Second)
		want("after the time", standby)
		time.Sleep(time.Minute)
		want("only once")
		ping(40, time.Millisecond)
		time.Sleep(time.Second)
		want("after the ping of a gateway that woke up too late")
		ping(4, 10*time.Second)
		want("after a ping", on)
		time.Sleep(11 * time.Second)
		want("after the time, again", standby)
		configure()
		want("after a Configure", on)
		ping(5, time.Second)
		time.Sleep(2 * time.Second)
		want("after the time, a third time", standby)
		fail = sdk.ErrRestart
		ping(6, 10*time.Second)
		want("after a ping, in vain", on)
		if err := r.srv.Ended(); !errors.Is(err, fail) {
			t.Errorf("the process ends with %v, want %v: the host does not know that the account is on standby", err, fail)
		}
		ses.Cut()
	})
}
