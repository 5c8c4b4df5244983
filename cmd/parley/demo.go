package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/internal/freeport"
	"github.com/parley-gateway/parley/internal/stores"
)

//go:embed demo.yaml
var demoRecords []byte

type demoCmd struct {
	Data      string `type:"path" help:"Data folder, kept. Default: a new one that is removed at the end."`
	Listen    string `default:"127.0.0.1:8080" help:"Address of the gateway; port 0 chooses a free one."`
	OpsListen string `default:"127.0.0.1:9090" help:"Address of metrics and health; port 0 chooses a free one."`
	// The sandbox takes the part of the carrier to which the demo's numbers belong.
	SandboxListen string `default:"127.0.0.1:0" help:"Address of the carrier's sandbox and its phones; port 0 chooses a free one."`
	SandboxURL    string `name:"sandbox-url" help:"Use a sandbox that runs on its own (parley sandbox twilio) instead."`
	JSON          bool   `help:"One JSON line on standard output when everything is ready."`
}

// demoInfo is what people and scripts need to use a demo; it is also in <data>/demo.json.
type demoInfo struct {
	PublicURL    string      `json:"public_url"` // desktop and API, with a host name that every client resolves
	DeskURL      string      `json:"desk_url"`   // the desktop on its own origin
	OpsURL       string      `json:"ops_url"`
	CustomerPage string      `json:"customer_page"`
	Users        []demoUser  `json:"users"`
	Webchat      demoWebchat `json:"webchat"`
	PhonePage    string      `json:"phone_page"` // the page with handsets to text from
	SMS          demoSMS     `json:"sms"`
	Sandbox      demoSandbox `json:"sandbox"`

	numbers []demoNumber
}

type demoUser struct {
	Login    string `json:"login"`
	Password string `json:"password"`
	Role     string `json:"role"`
}

type demoWebchat struct {
	Account string `json:"account"`
	Site    string `json:"site"`
}

const demoSite = "demo"

func (c *demoCmd) Run(a *app) (err error) {
	data := c.Data
	if data == "" {
		if data, err = os.MkdirTemp("", "parley-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(data)) }()
	}
	// The ports are fixed, because a restarted gateway or sandbox must be where browsers look for
	// it.
	listen := []string{c.Listen, c.OpsListen}
	if c.SandboxURL == "" {
		listen = append(listen, c.SandboxListen)
	}
	at, err := freeport.Fix(a.ctx, listen...)
	if err != nil {
		return usageError{err}
	}
	public, opsAddr := at[0], at[1]
	env := demoEnv(data, public, opsAddr)
	cfg, err := config.Load("", env)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(data, 0o700); err != nil { // made here, so that the sandbox does not make it with another mode
		return err
	}
	carrier, err := c.carrier(a, data, at[2:])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, carrier.stop()) }()
	info, err := seedDemo(a.ctx, cfg, carrier.self)
	if err != nil {
		return err
	}
	if err := carrier.direct(a.ctx, &info); err != nil {
		return err
	}
	info.PublicURL = publicURL(cfg)
	info.DeskURL, info.OpsURL = cfg.Origins.Desk, "http://"+opsAddr.String()
	info.CustomerPage = cfg.Origins.Chat + "/p/webchat/demo/" + demoSite
	d := &demoKeeper{
		name: "gateway", args: []string{"serve"}, env: env, stderr: a.stderr, health: info.OpsURL + "/readyz",
		ready: func() error { return announce(a, c.JSON, data, info) },
	}
	return d.keep(a.ctx)
}

func demoEnv(data string, public, opsAddr netip.AddrPort) []string {
	origin := func(name string) string { return "http://" + name + ".localhost:" + strconv.Itoa(int(public.Port())) }
	vars := map[string]string{
		"data": data, "node": "demo", "listen.public": public.String(), "listen.ops": opsAddr.String(),
		"origins.desk": origin("desk"), "origins.chat": origin("chat"), "origins.files": origin("files"), "origins.plugins": origin("plugins"),
		"origins.aliases": "localhost,127.0.0.1,[::1]", "login.per_account_burst": "50", "login.per_ip_burst": "200",
		"plugins.builtin": strings.Join(slices.Sorted(maps.Keys(builtin())), ","),
	}
	var env []string
	for k, v := range vars {
		env = append(env, config.EnvName(k)+"="+v)
	}
	for _, key := range []string{"log.level", "store", "vault.store", "vault.master_key"} {
		name := config.EnvName(key)
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// publicURL is the gateway's URL with a host name that every client resolves.
func publicURL(cfg config.Config) string {
	_, port, _ := net.SplitHostPort(cfg.Listen.Public)
	return "http://localhost:" + port
}

// seedDemo makes the records what demo.yaml says; users keep the passwords that an earlier run in
// the same folder gave them.
func seedDemo(ctx context.Context, cfg config.Config, carrier twilioSelf) (demoInfo, error) {
	old := readDemo(cfg.Data)
	s, err := stores.Open(ctx, cfg, nil, discard())
	if err != nil {
		return demoInfo{}, err
	}
	info, err := seed(ctx, s.Directory, old, carrier, publicURL(cfg))
	return info, errors.Join(err, s.Close())
}

func seed(ctx context.Context, d *directory.Directory, old demoInfo, carrier twilioSelf, public string) (demoInfo, error) {
	known := map[string]string{}
	for _, u := range old.Users {
		known[u.Login] = u.Password
	}
	records, err := directory.ParseRecords(demoRecords, "demo.yaml")
	if err != nil {
		return demoInfo{}, err
	}
	info := demoInfo{Webchat: demoWebchat{Site: demoSite}}
	for i := range records.Users {
		u := &records.Users[i]
		pw := known[u.Login]
		if pw == "" {
			pw = u.Login + "-" + rand.Text()[:8]
			u.Password = directory.NewSecret(pw)
		}
		info.Users = append(info.Users, demoUser{Login: u.Login, Password: pw, Role: string(u.Role)})
	}
	useCarrier(records.Accounts, carrier)
	if _, err := d.Apply(ctx, records, false); err != nil {
		return demoInfo{}, err
	}
	acc, ok := d.Snapshot().AccountByName(demoSite)
	if !ok {
		return demoInfo{}, fmt.Errorf("demo.yaml has no account %q", demoSite)
	}
	info.Webchat.Account = acc.ID.String()
	info.SMS = demoSMS{AccountSID: carrier.AccountSID, AuthToken: carrier.AuthToken}
	for _, n := range demoNumbers {
		acc, ok := d.Snapshot().AccountByName(n.account)
		if !ok {
			return demoInfo{}, fmt.Errorf("demo.yaml has no account %q", n.account)
		}
		info.numbers = append(info.numbers, demoNumber{n.number, acc.ID.String(), public + "/hooks/" + acc.ID.String()})
	}
	if carrier.URL == "" {
		return info, nil
	}
	useHooks(records.Accounts, info.numbers)
	_, err = d.Apply(ctx, directory.Records{Accounts: records.Accounts}, false)
	return info, err
}

func demoFile(data string) string { return filepath.Join(data, "demo.json") }

func readDemo(data string) (info demoInfo) {
	b, err := os.ReadFile(demoFile(data))
	if err == nil {
		_ = json.Unmarshal(b, &info) // if it cannot be read, users get new passwords
	}
	return info
}

// announce prints where everything is, and writes demo.json.
func announce(a *app, asJSON bool, data string, info demoInfo) error {
	b, err := json.Marshal(info)
	if err != nil {
		return err
	}
	tmp := demoFile(data) + ".tmp"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	if err := os.Rename(tmp, demoFile(data)); err != nil {
		return err
	}
	if asJSON {
		_, err := fmt.Fprintf(a.stdout, "%s\n", b)
		return err
	}
	return printDemo(a.stdout, data, info)
}

func printDemo(w io.Writer, data string, info demoInfo) error {
	lines := fmt.Sprintf("\nParley is ready.\n\n  Agent desktop   %s\n  Customer page   %s\n  Phones          %s\n  Metrics         %s/metrics\n  Data            %s\n\n", info.DeskURL, info.CustomerPage, info.PhonePage, info.OpsURL, data)
	for _, u := range info.Users {
		lines += fmt.Sprintf("  %-10s      %s  %s\n", u.Role, u.Login, u.Password)
	}
	_, err := fmt.Fprint(w, lines, "\nOpen the desktop, log in, press Ready; open the customer page in another window,\nor the phones, and write. Ctrl+C stops.\n")
	return err
}
