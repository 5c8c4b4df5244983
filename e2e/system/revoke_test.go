package system_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/parley-gateway/parley/drive"
)

// revocation is how soon what somebody has open ends after the change (PR23).
const revocation = 5 * time.Second

// addTunnels builds the plugin at which agents hold something open and adds it.
func (d *demo) addTunnels() {
	d.t.Helper()
	dir := filepath.Join(d.data, "plugins", "tunnel")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		d.t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "tunnel"), "./testdata/tunnel")
	if out, err := build.CombinedOutput(); err != nil {
		d.t.Fatalf("build tunnel: %v\n%s", err, out)
	}
	manifest, err := os.ReadFile(filepath.Join("testdata", "tunnel", "plugin.yaml"))
	if err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "plugin.yaml"), manifest, 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.parley("plugin", "add", dir)
}

// rest sends a request with a bearer token and gives status and body; 0: no answer.
func (d *demo) rest(t *testing.T, token, method, path, body string) (status int, answer []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, d.info.PublicURL+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := drive.HTTPClient().Do(req)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = resp.Body.Close() }()
	answer, _ = io.ReadAll(resp.Body)
	return resp.StatusCode, answer
}

// command runs a command on the demo's data folder with a standard input.
func (d *demo) command(t *testing.T, stdin string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append(args, "--data", d.data)...)
	cmd.Env, cmd.Stdin = append(os.Environ(), d.env...), strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("parley %v: %v\n%s", args, err, out)
	}
}

// insider is an agent in a conversation, with all open that an agent can have open.
type insider struct {
	d     *demo
	t     *testing.T
	token string
	id    string
	agent *drive.Agent
	open  map[string]<-chan struct{} // closed when the thing has ended
}

// insider makes an agent of that login and opens everything.
func (d *demo) insider(t *testing.T, login string) *insider {
	t.Helper()
	x := &insider{d: d, t: t, open: map[string]<-chan struct{}{}}
	ctx := bounded(t, time.Minute)
	d.command(t, "first-password\n", "user", "add", login)
	d.apply("users:\n  - {login: " + login + ", name: " + login + ", role: agent, teams: [Front Office], privileges: [sms]}\n")
	var err error
	if x.token, err = drive.Login(ctx, drive.HTTPClient(), d.info.PublicURL, login, "first-password"); err != nil {
		t.Fatal(err)
	}
	_, me := d.rest(t, x.token, "GET", "/me", "")
	var who struct{ ID string }
	if err := json.Unmarshal(me, &who); err != nil || who.ID == "" {
		t.Fatalf("/me answers %s: %v", me, err)
	}
	x.id = who.ID

	offers := make(chan drive.Offer, 16)
	x.agent, err = drive.DialAgent(ctx, drive.AgentOptions{
		URL: "ws" + strings.TrimPrefix(d.info.PublicURL, "http") + "/api/v1/stream", Token: x.token, OnOffer: func(o drive.Offer) { offers <- o },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.agent.Close)
	x.open["agents' socket"] = x.agent.Closed()
	customer, err := drive.DialCustomer(ctx, drive.CustomerOptions{URL: d.chatURL(), Site: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(customer.Close)
	if _, err := customer.Start(ctx, "start", map[string]string{"first_name": "Cleo", "message": "hello"}); err != nil {
		t.Fatal(err)
	}
	if err := x.agent.Do(ctx, "ready", nil, nil); err != nil {
		t.Fatal(err)
	}
	var conversation string
	select {
	case o := <-offers: // this customer's, or one whom an agent before has left
		conversation = o.Conversation
		if err := x.agent.Do(ctx, "accept", map[string]any{"offer": o.Offer}, nil); err != nil {
			t.Fatal(err)
		}
	case <-ctx.Done():
		t.Fatal("no chat was offered")
	}
	status, body := d.rest(t, x.token, "POST", "/conversations/"+conversation+"/grants", `{"plugin":"tunnel","purpose":"test"}`)
	var grant struct{ Grant string }
	if err := json.Unmarshal(body, &grant); err != nil || grant.Grant == "" {
		t.Fatalf("a grant: %d %s", status, body)
	}
	x.tunnel("tunnel by the session", "/p/tunnel/agent/ws", "Authorization", "Bearer "+x.token)
	x.tunnel("tunnel by a grant", "/p/tunnel/grant/ws", "Parley-Grant", grant.Grant)
	x.long("long answer of a plugin", "/p/tunnel/agent/long")
	return x
}

// tunnelOrigin is where the plugin's pages and sockets are: a third-party plugin has
// an origin of its own.
func (d *demo) tunnelOrigin() string {
	_, port, _ := net.SplitHostPort(hostPort(d.t, d.info.PublicURL))
	return "http://tunnel.plugins.localhost:" + port
}

// tunnel opens a WebSocket at the plugin.
func (x *insider) tunnel(name, path, header, value string) {
	x.t.Helper()
	c, _, err := websocket.Dial(bounded(x.t, 20*time.Second), x.d.tunnelOrigin()+path, &websocket.DialOptions{
		HTTPClient: drive.HTTPClient(), HTTPHeader: http.Header{header: {value}},
	})
	if err != nil {
		x.t.Fatalf("%s: %v", name, err)
	}
	x.t.Cleanup(func() { _ = c.CloseNow() })
	ended := make(chan struct{})
	x.open[name] = ended
	go func() { // until the socket ends, at the latest in Cleanup
		defer close(ended)
		for {
			if _, _, err := c.Read(x.t.Context()); err != nil {
				return
			}
		}
	}()
}

// long opens a plain answer of the plugin that does not come to its end.
func (x *insider) long(name, path string) {
	x.t.Helper()
	req, err := http.NewRequestWithContext(x.t.Context(), http.MethodGet, x.d.tunnelOrigin()+path, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+x.token)
	resp, err := drive.HTTPClient().Do(req)
	if err != nil {
		x.t.Fatalf("%s: %v", name, err)
	}
	x.t.Cleanup(func() { _ = resp.Body.Close() })
	begun := make([]byte, len("begun\n"))
	if _, err := io.ReadFull(resp.Body, begun); err != nil || resp.StatusCode != http.StatusOK {
		x.t.Fatalf("%s: %d %q, %v", name, resp.StatusCode, begun, err)
	}
	ended := make(chan struct{})
	x.open[name] = ended
	go func() { // until the answer ends, at the latest in Cleanup
		defer close(ended)
		_, _ = io.Copy(io.Discard, resp.Body)
	}()
}

// still reports what is open.
func (x *insider) still() (names []string) {
	for name, ended := range x.open {
		select {
		case <-ended:
		default:
			names = append(names, name)
		}
	}
	return names
}

// PR23, R10: who is disabled or gets a new password loses the session and
// everything that is open under it within five seconds, whichever way the change
// comes. With another role or other privileges the session goes on under these, and
// what is open, which was told the old ones, ends just the same.
func TestChangedUsersLoseWhatIsOpen(t *testing.T) {
	d := startDemo(t, "")
	d.addTunnels()
	admin := d.token("adam")
	eventually(t, "tunnel plugin", 30*time.Second, func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.tunnelOrigin()+"/p/tunnel/agent/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := drive.HTTPClient().Do(req)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusUnauthorized
	})
	put := func(more string) func(*insider, string) {
		return func(x *insider, login string) {
			body := `{"login":"` + login + `","name":"` + login + `",` + more + `}`
			if status, answer := d.rest(x.t, admin, "PUT", "/users/"+x.id, body); status != 200 {
				x.t.Fatalf("PUT %s: %d %s", body, status, answer)
			}
		}
	}
	apply := func(more string) func(*insider, string) {
		return func(x *insider, login string) {
			file := filepath.Join(x.t.TempDir(), "records.yaml")
			if err := os.WriteFile(file, []byte("users:\n  - {login: "+login+", name: "+login+", teams: [Front Office], "+more+"}\n"), 0o600); err != nil {
				x.t.Fatal(err)
			}
			d.command(x.t, "", "apply", "-f", file)
		}
	}
	run := func(stdin string, args ...string) func(*insider, string) {
		return func(x *insider, login string) { d.command(x.t, stdin, append(args, login)...) }
	}
	for name, c := range map[string]struct {
		change func(x *insider, login string)
		me     string // what GET /me must hold afterwards; "" = the session has ended
	}{
		"disabled by REST":  {put(`"role":"agent","privileges":["sms"],"disabled":true`), ""},
		"disabled by CLI":   {run("", "user", "disable"), ""},
		"disabled by apply": {apply("role: agent, privileges: [sms], disabled: true"), ""},
		"password by REST": {func(x *insider, _ string) {
			if status, answer := d.rest(x.t, admin, "PUT", "/users/"+x.id+"/password", `{"password":"second-password"}`); status != 204 {
				x.t.Fatalf("PUT password: %d %s", status, answer)
			}
		}, ""},
		"password by themselves": {func(x *insider, login string) {
			other, err := drive.Login(x.t.Context(), drive.HTTPClient(), d.info.PublicURL, login, "first-password")
			if err != nil {
				x.t.Fatal(err)
			}
			if status, answer := d.rest(x.t, other, "POST", "/me/password", `{"old":"first-password","new":"second-password"}`); status/100 != 2 {
				x.t.Fatalf("POST /me/password: %d %s", status, answer)
			}
		}, ""},
		"password by CLI":     {run("second-password\n", "user", "password"), ""},
		"password by apply":   {apply("role: agent, privileges: [sms], password: second-password"), ""},
		"role by REST":        {put(`"role":"supervisor","privileges":["sms"]`), `"role":"supervisor"`},
		"role by CLI":         {run("first-password\n", "user", "add", "--role", "supervisor"), ""}, // it sets the password as well
		"role by apply":       {apply("role: supervisor, privileges: [sms]"), `"role":"supervisor"`},
		"privileges by REST":  {put(`"role":"agent","privileges":["sms","ban"]`), `"ban"`},
		"privileges by apply": {apply("role: agent, privileges: [ban]"), `"ban"`},
	} {
		t.Run(name, func(t *testing.T) {
			login := strings.ReplaceAll(name, " ", "-")
			x := d.insider(t, login)
			if open := x.still(); len(open) != 4 {
				t.Fatalf("before the change %q are open, want 4 things", open)
			}
			c.change(x, login)
			deadline := time.After(revocation)
			for what, ended := range x.open {
				select {
				case <-ended:
				case <-deadline:
					t.Fatalf("%v after the change the %s is still open (all that is: %q)", revocation, what, x.still())
				}
			}
			if c.me == "" {
				eventually(t, "end of the session", revocation, func() bool {
					status, _ := d.rest(t, x.token, "GET", "/me", "")
					return status == http.StatusUnauthorized
				})
				if bye := x.agent.Bye(); bye != "revoked" {
					t.Errorf("the agents' socket was closed with %q, want revoked", bye)
				}
				return
			}
			if status, me := d.rest(t, x.token, "GET", "/me", ""); status != 200 || !bytes.Contains(me, []byte(c.me)) {
				t.Errorf("the session answers %d %s, want 200 with %s", status, me, c.me)
			}
			if bye := x.agent.Bye(); bye != "restart" {
				t.Errorf("the agents' socket was closed with %q, want restart", bye)
			}
		})
	}
}
