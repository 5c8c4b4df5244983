package system_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// installation is a demo, which is node "demo", and a second node beside it. They share a PostgreSQL
// for the log and one for the keys, and nothing else: no hint passes between them.
type installation struct {
	*demo
	second *demo // has only what a client of the second node needs
	env    []string
}

// startInstallation starts both nodes. PostgreSQL does not notify either: a function that does
// nothing stands before the server's own.
func startInstallation(t *testing.T) *installation {
	t.Helper()
	c := postgres(t)
	log := c.Database(t)
	c.Exec(t, log, `CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE sql AS 'SELECT'`)
	in := &installation{env: []string{
		"PARLEY_STORE=" + c.DSN(log) + "&search_path=public,pg_catalog",
		"PARLEY_VAULT__STORE=" + c.DSN(c.Database(t)),
		"PARLEY_VAULT__MASTER_KEY=" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)),
	}}
	in.demo = startDemoWith(t, "", in.env)
	in.second = in.serve(t, "second", freePort(t), freePort(t))
	return in
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// command is a gateway under a name, in a folder of its own.
func (in *installation) command(t *testing.T, name, data, public, ops string) *exec.Cmd {
	t.Helper()
	_, port, _ := net.SplitHostPort(public)
	cmd := exec.Command(binary, "serve")
	cmd.Env = append(append(os.Environ(), in.env...), "PARLEY_NODE="+name, "PARLEY_DATA="+data, "PARLEY_LISTEN__PUBLIC="+public, "PARLEY_LISTEN__OPS="+ops,
		"PARLEY_ORIGINS__DESK=http://desk.localhost:"+port, "PARLEY_ORIGINS__CHAT=http://chat.localhost:"+port, "PARLEY_ORIGINS__FILES=http://files.localhost:"+port,
		"PARLEY_ORIGINS__ALIASES=localhost,127.0.0.1", "PARLEY_LOGIN__PER_IP_BURST=200")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// serve starts a node and waits until it is ready.
func (in *installation) serve(t *testing.T, name, public, ops string) *demo {
	t.Helper()
	data := filepath.Join(t.TempDir(), name)
	n := &demo{t: t, data: data, env: in.env, log: &lockedBuffer{}, done: make(chan error, 1)}
	n.cmd = in.command(t, name, data, public, ops)
	n.cmd.Stderr = n.log
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { n.done <- n.cmd.Wait() }()
	t.Cleanup(n.stop)
	_, port, _ := net.SplitHostPort(public)
	n.info.PublicURL, n.info.OpsURL = "http://localhost:"+port, "http://"+ops
	n.info.Users = in.info.Users
	eventually(t, "node "+name, 60*time.Second, func() bool {
		res, err := http.Get(n.info.OpsURL + "/readyz")
		if err != nil {
			return false
		}
		defer func() { _ = res.Body.Close() }()
		return res.StatusCode == http.StatusOK
	})
	return n
}

// board is the supervisors' board as a node shows it, without its time.
func (d *demo) board(token string) string {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.info.PublicURL+"/api/v1/board", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := drive.HTTPClient().Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	var view map[string]any
	if err != nil || res.StatusCode != http.StatusOK || json.Unmarshal(b, &view) != nil {
		d.t.Fatalf("board: %s, %v: %s", res.Status, err, b)
	}
	delete(view, "at")
	b, err = json.Marshal(view)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(b)
}

// PR1, PR3, PR4, PR6, PR8, FT18: two real nodes between which no hint passes. Customers' texts and
// chats come in at the first, agents answer at the second, whose own plugin hands the replies to
// the carrier. By all ledgers nothing is missing or there twice, and in the end both nodes show the
// same.
func TestTwoNodes(t *testing.T) {
	in := startInstallation(t)
	in.apply("services:\n  - name: Text Line\n    teams: [Front Office]\n    rules: {offer_timeout: 0s, inactivity_warn: 0s, inactivity_end: 0s, park_after: 0s, share: 1, spare: 1}\n")
	x := newExchange()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var phones, agents sync.WaitGroup
	for phone := range 4 {
		c := in.carrier()
		phones.Go(func() {
			if err := x.phone(ctx, c, phone, 5); err != nil {
				t.Error(err)
			}
		})
	}
	for _, login := range []string{"ana", "ben"} {
		token := in.second.token(login)
		agents.Go(func() { x.agent(ctx, in.second, token) })
	}
	for visitor := range 3 {
		phones.Go(func() { in.visit(ctx, x, visitor) })
	}
	phones.Wait()
	x.await(t, in.demo)
	supervisor := [2]string{in.token("sue"), in.second.token("sue")}
	eventually(t, "that both nodes show the same board", 20*time.Second, func() bool {
		return in.board(supervisor[0]) == in.second.board(supervisor[1])
	})
	stop()
	agents.Wait()
	taken := in.carried()
	status, count, texts := in.messages()
	for text := range x.replies { // of a chat: no carrier had it
		if strings.HasPrefix(text, "reply to chat ") {
			if count[text] != 1 {
				t.Errorf("%q is in the log %d times", text, count[text])
			}
			delete(x.replies, text)
		}
	}
	x.settle(t, taken, status, count)
	if n := reordered(texts); n > 0 {
		t.Errorf("%d texts or replies were reordered", n)
	}
	if a, b := len(in.events()), len(in.second.events()); a != b || a == 0 {
		t.Errorf("the log has %d events for the first node and %d for the second", a, b)
	}
}

// visit is a visitor at the first node who writes three messages, each once the one before it was
// answered, and leaves.
func (in *installation) visit(ctx context.Context, x *exchange, n int) {
	replies := make(chan string, 100)
	c, err := drive.DialCustomer(ctx, drive.CustomerOptions{URL: in.chatURL(), Site: "demo", OnEvent: func(frame []byte) {
		var e struct {
			Type string
			Head struct{ Author struct{ Kind string } }
			Body struct{ Parts []struct{ Text string } }
		}
		if json.Unmarshal(frame, &e) == nil && e.Type == "message/1" && e.Head.Author.Kind == "agent" && len(e.Body.Parts) > 0 {
			replies <- e.Body.Parts[0].Text
		}
	}})
	if err != nil {
		in.t.Error(err)
		return
	}
	defer c.Close()
	for i := range 3 {
		text, id := fmt.Sprintf("chat %d-%d", n, i), fmt.Sprint("m", i)
		if i == 0 {
			_, err = c.Start(ctx, id, map[string]string{"name": "Cora", "message": text})
		} else {
			_, err = c.Say(ctx, id, text)
		}
		if err != nil {
			in.t.Errorf("visitor %d: %v", n, err)
			return
		}
		select {
		case got := <-replies:
			if got != "reply to "+text {
				in.t.Errorf("visitor %d: got %q, want the reply to %q", n, got, text)
			}
		case <-time.After(60 * time.Second):
			in.t.Errorf("visitor %d: no reply to %q", n, text)
			return
		}
	}
	if err := c.End(); err != nil {
		in.t.Error(err)
	}
}

// A second process of a node's name is refused with a text that says what to do; after kill -9 the
// name is free at once, and the node is ready again.
func TestNodeNames(t *testing.T) {
	in := startInstallation(t)
	cmd := in.command(t, "second", filepath.Join(t.TempDir(), "third"), freePort(t), freePort(t))
	var out lockedBuffer
	cmd.Stderr = &out
	if err := cmd.Run(); err == nil || !strings.Contains(out.String(), "PARLEY_NODE") {
		t.Errorf("a second process of the name: %v, want it refused with what to do: %s", err, out.String())
	}
	_ = syscall.Kill(in.second.cmd.Process.Pid, syscall.SIGKILL)
	began := time.Now()
	in.serve(t, "second", freePort(t), freePort(t))
	t.Logf("ready %v after kill -9", time.Since(began))
}
