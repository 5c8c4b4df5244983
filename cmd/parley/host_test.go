package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/core/sessionwork"
	"github.com/parley-gateway/parley/plugins/contract/hosttest"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// TestMain makes the test binary run as parley when a gateway under test starts it for a built-in
// plugin.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "plugin" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestHost runs the suite of the hosts of plugins against the whole gateway, as `parley serve`
// builds it, on SQLite and with the suite's plugin attached.
func TestHost(t *testing.T) {
	hosttest.Run(t, func(t *testing.T, p *hosttest.Plugin) *hosttest.Host { return startSuite(t, p) },
		pluginv1.Delivery_DELIVERY_CONNECTED, pluginv1.Delivery_DELIVERY_STORE_AND_FORWARD)
}

// desk is a node whose agents the test plays.
type desk struct {
	*node
	service directory.Service
}

func startSuite(t *testing.T, p *hosttest.Plugin) *hosttest.Host {
	t.Helper()
	dir, err := os.MkdirTemp("", "ps") // a short name, because the path of a socket has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cfg, err := config.Load("", []string{config.EnvName("data") + "=" + dir})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen.Public, cfg.Listen.Ops, cfg.Plugins.Builtin = "127.0.0.1:0", "127.0.0.1:0", nil
	n, err := startNode(t.Context(), cfg, discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.shutdown(5 * time.Second); err != nil {
			t.Error(err)
		}
	})
	d := &desk{node: n}
	records := n.stores.Directory
	unstaffed, err := records.PutService(t.Context(), directory.Service{Name: "Nobody there", Rules: directory.DefaultRules()})
	if err != nil {
		t.Fatal(err)
	}
	if d.service, err = records.PutService(t.Context(), directory.Service{Name: "Sales", Rules: directory.DefaultRules()}); err != nil {
		t.Fatal(err)
	}
	account := func(name string, service conversation.ServiceID, enabled bool) conversation.AccountID {
		a, err := records.PutAccount(t.Context(), directory.Account{Plugin: hosttest.PluginID, Name: name, Service: service, Enabled: enabled}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return a.ID
	}
	staffed := account("two", d.service.ID, true)
	h := &hosttest.Host{
		MinorOne: true,
		Account:  account("one", unstaffed.ID, true).String(), Staffed: staffed.String(), Disabled: account("off", d.service.ID, false).String(),
		Emit: p.Emit, Wire: p,
		Redeem: func(grant string) bool { _, err := n.grants.Redeem(grant, ""); return err == nil },
	}
	h.Reply = func(tb testing.TB, thread, text string) {
		tb.Helper()
		agent, conv := d.accept(tb, staffed, thread)
		_, err := n.router.Send(tb.Context(), router.SendRequest{
			Conversation: conv, Agent: agent, ClientID: text, Parts: []conversation.Part{{Kind: conversation.PartText, Text: text}},
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	h.End = func(tb testing.TB, thread string) {
		tb.Helper()
		agent, conv := d.accept(tb, staffed, thread)
		if _, err := n.router.Leave(tb.Context(), agent, conv, false); err != nil {
			tb.Fatal(err)
		}
	}
	d.service.Tools = []directory.ServiceTool{{Account: staffed}}
	d.put(t)
	h.Tool = func(tb testing.TB, thread string) string {
		tb.Helper()
		agent, conv := d.accept(tb, staffed, thread)
		begun, err := n.router.StartTool(tb.Context(), sessionwork.StartRequest{Conversation: conv, Agent: agent, Account: staffed})
		if err != nil {
			tb.Fatal(err)
		}
		return begun.Session.String()
	}
	h.Bot = func(tb testing.TB, thread string, begin func()) string {
		tb.Helper()
		d.service.Bot = staffed
		d.put(tb)
		begin()
		d.service.Bot = conversation.AccountID{}
		d.put(tb)
		return d.open(tb, staffed, thread).String()
	}
	if err := n.host.Load(pluginhost.Spec{ID: hosttest.PluginID, Attach: p.Socket}); err != nil {
		t.Fatal(err)
	}
	p.AwaitAccounts(t, 3)
	p.AwaitSession(t)
	h.Gateway = p.Gateway(t)
	return h
}

// put writes the service as it is to be.
func (d *desk) put(tb testing.TB) {
	tb.Helper()
	var err error
	if d.service, err = d.stores.Directory.PutService(tb.Context(), d.service); err != nil {
		tb.Fatal(err)
	}
}

// open returns the open conversation of a thread.
func (d *desk) open(tb testing.TB, account conversation.AccountID, thread string) conversation.ConversationID {
	tb.Helper()
	conv, err := d.router.OpenConversation(tb.Context(), account, thread)
	if err != nil || conv.IsZero() {
		tb.Fatalf("open conversation of %s: got %v, %v", thread, conv, err)
	}
	return conv
}

// accept adds an agent who is ready, and returns the agent who accepts the open conversation of a
// thread, and that conversation.
func (d *desk) accept(tb testing.TB, account conversation.AccountID, thread string) (conversation.AgentID, conversation.ConversationID) {
	tb.Helper()
	ctx := tb.Context()
	conv := d.open(tb, account, thread)
	login := fmt.Sprint("agent", len(d.service.Users))
	u, err := d.stores.Directory.PutUser(ctx, directory.User{Login: login, Name: login, Role: directory.RoleAgent})
	if err != nil {
		tb.Fatal(err)
	}
	d.service.Users = append(d.service.Users, u.ID)
	d.put(tb)
	if err := d.router.AgentConnected(ctx, u.ID); err != nil {
		tb.Fatal(err)
	}
	if err := d.router.Ready(ctx, u.ID); err != nil {
		tb.Fatal(err)
	}
	limit := time.Now().Add(10 * time.Second)
	for time.Now().Before(limit) {
		for _, agent := range d.service.Users {
			state, err := d.router.Agent(ctx, agent)
			if err != nil {
				tb.Fatal(err)
			}
			if state.Offer == nil {
				continue
			}
			got, _, err := d.router.Accept(ctx, agent, state.Offer.Offer)
			if err != nil {
				tb.Fatal(err)
			}
			if got == conv { // an accepted offer of another conversation does not matter here
				return agent, conv
			}
		}
		<-time.After(2 * time.Millisecond)
	}
	tb.Fatalf("after 10 s: nobody was offered the conversation of %s", thread)
	return u.ID, conv
}
