package api_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/core/sessions"
	"github.com/parley-gateway/parley/core/vault"
	"github.com/parley-gateway/parley/gateway"
	"github.com/parley-gateway/parley/gateway/api"
	"github.com/parley-gateway/parley/gateway/auth"
	"github.com/parley-gateway/parley/gateway/stream"
	"github.com/parley-gateway/parley/gateway/stream/streamtest"
)

var update = flag.Bool("update", false, "write the golden files")

// fakeHost is a plugin host with one plugin, whose accounts need a token.
type fakeHost struct{ down bool }

func (fakeHost) Plugins() []pluginhost.Status {
	return []pluginhost.Status{{ID: "toy", Name: "Toy", Version: "1", State: pluginhost.StateReady, Kind: "built-in",
		LastCrash: &pluginhost.Crash{Cause: "exit", Output: "canary-7f3a"}}}
}

func (fakeHost) Schemas(string) (string, string, bool) { return "", `{"type":"object"}`, true }

func (h *fakeHost) Validate(_ context.Context, plugin string, _ json.RawMessage, accounts []pluginhost.AccountConfig) ([]pluginhost.Problem, error) {
	switch {
	case plugin != "toy":
		return nil, fmt.Errorf("validate: %w", pluginhost.ErrUnknownPlugin)
	case h.down:
		return nil, fmt.Errorf("validate: %w", pluginhost.ErrUnavailable)
	case !strings.Contains(string(accounts[0].Settings), `"token"`):
		return []pluginhost.Problem{{Path: "/token", Code: "required", Text: "is required"}}, nil
	}
	return nil, nil
}

// rows shows the fake router's conversations as rows of a log.
type rows struct{ r *streamtest.Router }

func (l rows) Stats() eventlog.Stats { return eventlog.Stats{} }

func (l rows) Conversations(_ context.Context, q eventlog.ConversationQuery) ([]eventlog.ConversationRow, error) {
	l.r.Mu.Lock()
	defer l.r.Mu.Unlock()
	var out []eventlog.ConversationRow
	for id, c := range l.r.Convs {
		state, err := json.Marshal(c.Info.State)
		if err != nil {
			return nil, err
		}
		took := c.Info.State.Participant(conversation.AgentID(q.Agent)) != nil
		if (q.Agent == eventlog.StreamID{}) || took {
			out = append(out, eventlog.ConversationRow{ID: eventlog.StreamID(id), Seq: c.Info.State.Seq, State: state})
		}
	}
	slices.SortFunc(out, func(a, b eventlog.ConversationRow) int { return bytes.Compare(b.ID[:], a.ID[:]) })
	if q.Before != (eventlog.StreamID{}) {
		i := slices.IndexFunc(out, func(r eventlog.ConversationRow) bool { return r.ID == q.Before })
		out = out[i+1:]
	}
	return out[:min(len(out), q.Limit)], nil
}

// house is an API over a real directory, auth, vault and attachment store,
// with a fake router and plugin host.
type house struct {
	t      *testing.T
	router *streamtest.Router
	host   *fakeHost
	dir    *directory.Directory
	vault  *vault.Vault
	auth   *auth.Auth
	grants *auth.Grants
	api    *api.API
	desk   stream.Options // options of the agents' sockets
	stream *stream.Stream
	web    *httptest.Server
	log    *bytes.Buffer
	data   string
	users  map[string]directory.User
	tokens map[string]string
}

const password = "correct horse battery"

func newHouse(t *testing.T, mend func(*api.Options)) *house {
	t.Helper()
	return buildHouse(t, func(_ *house, o *api.Options) {
		if mend != nil {
			mend(o)
		}
	})
}

// buildHouse makes a house; mend may change the API's options and sees the house's stores.
func buildHouse(t *testing.T, mend func(*house, *api.Options)) *house {
	t.Helper()
	h := &house{t: t, router: streamtest.NewRouter(), host: &fakeHost{}, log: &bytes.Buffer{}, users: map[string]directory.User{}, tokens: map[string]string{}}
	dir, log := t.TempDir(), slog.New(slog.NewTextHandler(h.log, nil))
	h.data = dir
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	master := make([]byte, 32)
	_, _ = rand.Read(master)
	v, err := vault.Open(t.Context(), vault.Options{Path: filepath.Join(dir, "keys.db"), Master: master, BlockSize: 64})
	must(err)
	h.vault = v
	h.dir, err = directory.Open(t.Context(), directory.Options{DSN: filepath.Join(dir, "parley.db"), Vault: v, Poll: -1})
	must(err)
	blobs, err := blob.Open(blob.Options{Dir: filepath.Join(dir, "blobs"), Rows: blob.NewTable(h.dir.Database()), Records: h.dir, Vault: v, MaxBytes: 100_000, UploaderBytes: 1_000_000, Reserve: -1})
	must(err)
	h.auth, err = auth.New(t.Context(), auth.Options{Directory: h.dir, Sessions: sessions.New(h.dir.Database(), time.Now), Trail: h.dir.Trail(), SameOrigin: gateway.SameOrigin, PairBurst: 100, IPBurst: 100, LoginBurst: 100})
	must(err)
	h.grants, err = auth.NewGrants(v.Subkey("grant"), nil)
	must(err)
	opts := api.Options{
		Router: h.router, Log: rows{h.router}, Directory: h.dir, Auth: h.auth, Grants: h.grants, Blobs: blobs, Host: h.host,
		FilesOrigin: "https://files.example.com", Version: "1.2.3", Logger: log, Registry: prometheus.NewRegistry(),
	}
	h.desk.Router = h.router
	mend(h, &opts)
	h.desk.Sessions, h.desk.Records, h.desk.Trail, h.desk.Version, h.desk.Registry, h.desk.Log = h.auth, h.dir, h.dir.Trail(), opts.Version, opts.Registry, log
	h.stream = stream.New(h.desk)
	opts.Stream = h.stream
	h.api, err = api.New(opts)
	must(err)
	h.web = httptest.NewServer(h.api)
	t.Cleanup(func() {
		h.web.Close()
		h.stream.Close()
		for _, err := range []error{h.auth.Close(), blobs.Close(), h.dir.Close(), v.Close()} {
			if err != nil {
				t.Errorf("close: %v", err)
			}
		}
	})
	for login, role := range map[string]directory.Role{"ana": directory.RoleAgent, "ben": directory.RoleAgent, "sue": directory.RoleSupervisor, "adam": directory.RoleAdmin} {
		u, err := h.dir.PutUser(t.Context(), directory.User{Login: login, Name: strings.ToUpper(login), Role: role})
		must(err)
		h.users[login], h.tokens[login] = u, h.session(u.ID)
	}
	return h
}

// session makes a bearer session as a login does, without the time that hashing a password takes.
func (h *house) session(user conversation.AgentID) string {
	h.t.Helper()
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	token := base64.RawURLEncoding.EncodeToString(raw)
	s := sessions.Session{TokenHash: sha256.Sum256([]byte(token)), User: user, Bearer: true, CreatedAt: time.Now(), SeenAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	_, _ = rand.Read(s.ID[:])
	if err := sessions.New(h.dir.Database(), time.Now).Add(h.t.Context(), s, h.dir.Snapshot().PasswordHash(user)); err != nil {
		h.t.Fatal(err)
	}
	return token
}

type answer struct {
	status int
	header http.Header
	text   string
}

func (a answer) get(path string) string {
	var v any
	if json.Unmarshal([]byte(a.text), &v) != nil {
		return ""
	}
	for _, p := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[p]
		case []any:
			i := 0
			_, _ = fmt.Sscan(p, &i)
			if i >= len(x) {
				return ""
			}
			v = x[i]
		}
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// do sends a request as a user ("" = without a session); body is JSON text or a value that is
// encoded as JSON.
func (h *house) do(as, method, path string, body any, header ...string) answer {
	h.t.Helper()
	var r io.Reader
	if text, ok := body.(string); ok {
		r = strings.NewReader(text)
	} else if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			h.t.Fatal(err)
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.web.URL+api.Prefix+path, r)
	if err != nil {
		h.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if as != "" {
		req.Header.Set("Authorization", "Bearer "+h.tokens[as])
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := h.web.Client().Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

func (h *house) want(what string, a answer, status int, pairs ...string) {
	h.t.Helper()
	if a.status != status {
		h.t.Errorf("%s: status %d, want %d: %s", what, a.status, status, a.text)
		return
	}
	for i := 0; i < len(pairs); i += 2 {
		if got := a.get(pairs[i]); got != pairs[i+1] {
			h.t.Errorf("%s: %s = %q, want %q in %s", what, pairs[i], got, pairs[i+1], a.text)
		}
	}
	if status >= 400 && a.header.Get("Content-Type") != "application/problem+json" {
		h.t.Errorf("%s: Content-Type %q, want a problem", what, a.header.Get("Content-Type"))
	}
}

// The description is valid, is served, and equals the golden file.
func TestOpenAPI(t *testing.T) {
	h := newHouse(t, func(o *api.Options) { o.Version = "golden" })
	a := h.do("", "GET", "/openapi.json", nil)
	if a.status != 200 || a.get("openapi") != "3.1.0" {
		t.Fatalf("openapi.json = %d, version %q", a.status, a.get("openapi"))
	}
	const golden = "testdata/openapi.json"
	if *update {
		if err := os.WriteFile(golden, []byte(a.text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(a.text, "\n")); diff != "" {
		t.Errorf("the API differs from %s; if that is meant, run the test with -update (- golden, + now):\n%s", golden, diff)
	}
}

func TestRoles(t *testing.T) {
	h := newHouse(t, nil)
	cases := []struct {
		method, path string
		agent, super int // the HTTP statuses they get; an admin always may
	}{
		{"GET", "/me", 200, 200},
		{"GET", "/directory", 200, 200},
		{"GET", "/senders", 200, 200},
		{"GET", "/conversations", 200, 200},
		{"GET", "/conversations?scope=all", 403, 200},
		{"GET", "/teams", 200, 200},
		{"GET", "/users", 403, 200},
		{"GET", "/board", 403, 200},
		{"GET", "/accounts", 403, 403},
		{"GET", "/plugins", 403, 403},
		{"GET", "/audit", 403, 403},
		{"GET", "/doctor", 403, 403},
		{"POST", "/teams", 403, 403},
		{"POST", "/users", 403, 403},
		{"POST", "/apply", 403, 403},
	}
	for _, c := range cases {
		for as, want := range map[string]int{"ana": c.agent, "sue": c.super} {
			a := h.do(as, c.method, c.path, nil)
			if want == 403 {
				h.want(as+" "+c.method+" "+c.path, a, 403, "code", "denied")
			} else if a.status != want {
				t.Errorf("%s as %s: %s %s = %d, want %d", c.path, as, c.method, c.path, a.status, want)
			}
		}
		if a := h.do("adam", c.method, c.path, nil); a.status == 401 || a.status == 403 {
			t.Errorf("admin: %s %s = %d", c.method, c.path, a.status)
		}
	}
	var found bool
	for i := range 200 {
		found = found || h.do("adam", "GET", fmt.Sprintf("/audit?after=%d&limit=1", i), nil).get("items.0.action") == audit.AccessDenied
	}
	if !found {
		t.Error("denials are not in the audit trail")
	}
}

func TestLogin(t *testing.T) {
	h := newHouse(t, nil)
	if err := h.dir.SetPassword(t.Context(), h.users["ana"].ID, password, sessions.ID{}); err != nil {
		t.Fatal(err)
	}
	h.want("wrong password", h.do("", "POST", "/login", map[string]any{"login": "ana", "password": "wrong wrong"}), 401, "code", "credentials")
	h.want("unknown login", h.do("", "POST", "/login", map[string]any{"login": "nobody", "password": "wrong wrong"}), 401, "code", "credentials")
	bad := h.do("", "POST", "/login", `{"login":"ana","password":["canary-7f3a"]}`)
	h.want("not a password", bad, 422, "code", "invalid")
	if strings.Contains(bad.text, "canary") {
		t.Errorf("the answer repeats what was sent: %s", bad.text)
	}
	h.want("unknown field", h.do("", "POST", "/login", `{"login":"ana","password":"x","admin":true}`), 422, "code", "invalid")
	h.want("not JSON", h.do("", "POST", "/login", `{`), 400, "code", "malformed")
	h.want("too large", h.do("", "POST", "/login", `{"login":"`+strings.Repeat("a", 5000)+`"}`), 413, "code", "too_large")

	res := h.do("", "POST", "/login", map[string]any{"login": "ana", "password": password})
	h.want("login", res, 200, "user.login", "ana", "user.role", "agent", "token", "")
	cookie := res.header.Get("Set-Cookie")
	for _, part := range []string{"__Host-parley=", "HttpOnly", "Secure", "Path=/", "SameSite=Lax"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("cookie %q lacks %s", cookie, part)
		}
	}
	jar, _, _ := strings.Cut(cookie, ";")
	h.want("me by cookie", h.do("", "GET", "/me", nil, "Cookie", jar), 200, "login", "ana")
	h.want("unsafe without the CSRF header", h.do("", "POST", "/logout", nil, "Cookie", jar), 403, "code", "forged")
	h.want("unsafe from another site", h.do("", "POST", "/logout", nil, "Cookie", jar, "Parley-CSRF", "1", "Sec-Fetch-Site", "cross-site"), 403, "code", "forged")
	out := h.do("", "POST", "/logout", nil, "Cookie", jar, "Parley-CSRF", "1")
	h.want("logout", out, 204)
	h.want("the old cookie", h.do("", "GET", "/me", nil, "Cookie", jar), 401, "code", "unauthenticated")
	h.want("logout without a session", h.do("", "POST", "/logout", nil), 204)
	if got := h.do("", "POST", "/login", map[string]any{"login": "ana", "password": password, "bearer": true}); got.get("token") == "" || got.header.Get("Set-Cookie") != "" {
		t.Errorf("bearer login = %s with cookie %q, want a token only", got.text, got.header.Get("Set-Cookie"))
	}
}

// TestPasswordEndsSockets (PR23): a new password ends the user's other sessions and their sockets.
func TestLoginWaits(t *testing.T) {
	var strict *auth.Auth
	began := time.Now() // the clock stands: waits get no shorter while a slow machine hashes passwords
	h := newHouse(t, func(o *api.Options) {
		var err error
		strict, err = auth.New(t.Context(), auth.Options{Now: func() time.Time { return began }, Directory: o.Directory, Sessions: sessions.New(o.Directory.Database(), time.Now), Trail: o.Directory.Trail(), SameOrigin: gateway.SameOrigin, PairBurst: 2})
		if err != nil {
			t.Fatal(err)
		}
		o.Auth = strict
	})
	defer func() {
		if err := strict.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := h.dir.SetPassword(t.Context(), h.users["ana"].ID, password, sessions.ID{}); err != nil {
		t.Fatal(err)
	}
	right := map[string]any{"login": "ana", "password": password}
	first := h.do("", "POST", "/login", right)
	h.want("first login", first, 200)
	var device string
	for _, c := range (&http.Response{Header: first.header}).Cookies() {
		if c.Name == auth.DeviceCookie {
			device = c.Name + "=" + c.Value
			if !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.MaxAge < 100*24*3600 {
				t.Errorf("device cookie %v, want what __Host- needs, for months", c)
			}
		}
	}
	for range 2 {
		h.want("wrong password", h.do("", "POST", "/login", map[string]any{"login": "ana", "password": "wrong wrong"}), 401)
	}
	slow := h.do("", "POST", "/login", right)
	h.want("a stranger's browser", slow, 429, "code", "rate_limited")
	if after := slow.header.Get("Retry-After"); after != "5" {
		t.Errorf("Retry-After %q, want 5", after)
	}
	h.want("her own browser", h.do("", "POST", "/login", right, "Cookie", device), 200)
	h.want("a stranger's browser still", h.do("", "POST", "/login", right), 429)
}

// PR23: an agent's socket is closed when their role or privileges change, so that the client
// connects again and reads the new ones. The session goes on.
func TestChangedRightsRestartSockets(t *testing.T) {
	h := newHouse(t, nil)
	for _, change := range []string{`"role":"agent","privileges":["sms"]`, `"role":"supervisor","privileges":["sms"]`, `"role":"supervisor"`} {
		c, _, err := websocket.Dial(t.Context(), h.web.URL+api.Prefix+"/stream", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + h.tokens["ana"]}}})
		if err != nil {
			t.Fatal(err)
		}
		ws := streamtest.NewClient(t, c)
		ws.Say(`{"t":"hello"}`)
		ws.Until("welcome")
		h.want("change to "+change, h.do("adam", "PUT", "/users/"+h.users["ana"].ID.String(), `{"login":"ana","name":"ANA",`+change+`}`), 200)
		if bye, code := ws.Ends(); bye != "restart" || code != 1012 {
			t.Errorf("after %s: bye %q, code %d; want restart, 1012", change, bye, code)
		}
		h.want("the session", h.do("ana", "GET", "/me", nil), 200)
		_ = c.CloseNow()
	}
}

// PR23: a request is judged by the rights that its sender has when its whole body has arrived,
// however long that takes.
func TestChangedRightsReachSlowRequests(t *testing.T) {
	h := newHouse(t, nil)
	conv := h.router.Open(streamtest.Service(), streamtest.Account())
	h.router.MakeJoin(h.users["ana"].ID, conv)
	root, err := h.dir.PutUser(t.Context(), directory.User{Login: "root", Name: "Root", Role: directory.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	h.tokens["root"] = h.session(root.ID)
	upload := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhello\r\n--b--\r\n"
	for _, c := range []struct {
		name, as, method, path, kind, body string
		change                             string // applied to the sender's record while the body is on its way
		want                               int
	}{
		{"demoted", "adam", "POST", "/teams", "application/json", `{"name":"Late"}`, `"role":"agent"`, 403},
		{"disabled", "sue", "POST", "/contacts", "application/json", `{"name":"Late","addresses":[]}`, `"role":"supervisor","disabled":true`, 401},
		{"disabled, uploading", "ana", "POST", "/conversations/" + conv.String() + "/files", "multipart/form-data; boundary=b", upload, `"role":"agent","disabled":true`, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, w := io.Pipe()
			req, err := http.NewRequestWithContext(t.Context(), c.method, h.web.URL+api.Prefix+c.path, r)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+h.tokens[c.as])
			req.Header.Set("Content-Type", c.kind)
			req.Header.Set("Expect", "100-continue") // the server answers 100 when it begins to read the body: the sender has passed the first check then
			client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
			defer client.CloseIdleConnections()
			status := make(chan int, 1)
			go func() {
				res, err := client.Do(req)
				if err != nil {
					_ = r.CloseWithError(err)
					status <- 0
					return
				}
				_ = res.Body.Close()
				status <- res.StatusCode
			}()
			if _, err := io.WriteString(w, c.body[:5]); err != nil {
				t.Fatalf("the request was not let in: %v", err)
			}
			h.want("the change", h.do("root", "PUT", "/users/"+h.users[c.as].ID.String(), `{"login":"`+c.as+`","name":"x",`+c.change+`}`), 200)
			_, _ = io.WriteString(w, c.body[5:])
			_ = w.Close()
			if got := <-status; got != c.want {
				t.Errorf("the request is answered %d, want %d", got, c.want)
			}
		})
	}
}

func TestPasswordEndsSockets(t *testing.T) {
	h := newHouse(t, nil)
	c, _, err := websocket.Dial(t.Context(), h.web.URL+api.Prefix+"/stream", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + h.tokens["ana"]}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	ws := streamtest.NewClient(t, c)
	ws.Say(`{"t":"hello"}`)
	ws.Until("welcome")
	start := time.Now()
	h.want("set password", h.do("adam", "PUT", "/users/"+h.users["ana"].ID.String()+"/password", map[string]any{"password": "another good one"}), 204)
	if bye, code := ws.Ends(); bye != "revoked" || code != 4001 || time.Since(start) > 5*time.Second {
		t.Errorf("bye %q, code %d after %v; want revoked, 4001 within 5 s", bye, code, time.Since(start))
	}
	h.want("the old session", h.do("ana", "GET", "/me", nil), 401)
}

func TestConversations(t *testing.T) {
	h := newHouse(t, nil)
	ana := h.users["ana"].ID
	var ids []string
	for range 5 {
		id := h.router.Open(streamtest.Service(), streamtest.Account())
		h.router.MakeJoin(ana, id)
		ids = append(ids, id.String())
	}
	foreign := h.router.Open(streamtest.Service(), streamtest.Account())
	page := h.do("ana", "GET", "/conversations?scope=recent&limit=3", nil)
	h.want("first page", page, 200, "conversations.0.id", ids[4], "conversations.2.id", ids[2], "next", ids[2], "conversations.0.customer.name", "Carla Customer", "conversations.0.display", "active")
	page = h.do("ana", "GET", "/conversations?scope=recent&limit=3&cursor="+ids[2], nil)
	h.want("second page", page, 200, "conversations.1.id", ids[0], "next", "", "conversations.2", "")
	h.want("supervisor sees all", h.do("sue", "GET", "/conversations?scope=all", nil), 200, "conversations.0.id", foreign.String())
	h.want("unknown query", h.do("ana", "GET", "/conversations?colour=red", nil), 422, "code", "invalid")
	h.want("bad scope", h.do("ana", "GET", "/conversations?scope=yours", nil), 422, "code", "invalid")

	h.want("own", h.do("ana", "GET", "/conversations/"+ids[0], nil), 200, "info.title", "Web Chat", "info.service.name", "Support", "agents.0.name", "ANA")
	h.want("somebody else's", h.do("ana", "GET", "/conversations/"+foreign.String(), nil), 404, "code", "not_found")
	h.want("somebody else's events", h.do("ana", "GET", "/conversations/"+foreign.String()+"/events", nil), 404, "code", "not_found")
	h.want("none", h.do("sue", "GET", "/conversations/01890000-0000-7000-8000-000000000000", nil), 404, "code", "not_found")
	h.want("not an id", h.do("sue", "GET", "/conversations/7", nil), 422, "code", "invalid")
	h.want("events", h.do("ana", "GET", "/conversations/"+ids[0]+"/events?limit=1", nil), 200, "events.0.type", "conversation.started/1", "events.0.body.name", "Carla Customer", "events.1", "")
	h.want("events after", h.do("ana", "GET", "/conversations/"+ids[0]+"/events?after=1", nil), 200, "events.0.seq", "2", "events.0.prev", "1")

	before := h.trail()
	h.do("sue", "GET", "/conversations/"+foreign.String()+"/events", nil)
	trail := h.trail()
	if last := trail[len(trail)-1]; len(trail) != len(before)+1 || last.Action != audit.TranscriptRead || last.Actor.User != h.users["sue"].ID {
		t.Errorf("a supervisor read a transcript: audit trail ends with %+v", last)
	}
}

// breakAudit makes the audit trail impossible to write to.
func (h *house) breakAudit() {
	h.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(h.data, "parley.db"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(h.t.Context(), "CREATE TRIGGER broken BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'broken'); END"); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) trail() []audit.Entry {
	h.t.Helper()
	e, err := h.dir.Trail().List(h.t.Context(), 0, 10_000)
	if err != nil {
		h.t.Fatal(err)
	}
	return e
}

func TestMessages(t *testing.T) {
	h := newHouse(t, nil)
	conv := h.router.Open(streamtest.Service(), streamtest.Account())
	h.router.MakeJoin(h.users["ana"].ID, conv)
	path := "/conversations/" + conv.String() + "/messages"
	body := `{"client_id":"c1","parts":[{"kind":"text","text":"hi"}]}`
	first := h.do("ana", "POST", path, body)
	h.want("send", first, 202, "seq", "3")
	h.want("again", h.do("ana", "POST", path, body), 202, "message", first.get("message"))
	h.want("somebody who takes no part", h.do("ben", "POST", path, strings.Replace(body, "c1", "c2", 1)), 409, "code", "not_joined")
	h.want("no parts", h.do("ana", "POST", path, `{"client_id":"c1","parts":[]}`), 422, "code", "invalid")
	h.want("empty text", h.do("ana", "POST", path, `{"client_id":"c3","parts":[{"kind":"text","text":" "}]}`), 422, "code", "invalid")
	h.router.Mu.Lock()
	h.router.Fail = fmt.Errorf("append: %w", eventlog.ErrFull)
	h.router.Mu.Unlock()
	full := h.do("ana", "POST", path, strings.Replace(body, "c1", "c4", 1))
	h.want("disk full (PR16)", full, 503, "code", "storage_full")
	if full.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	h.router.Mu.Lock()
	h.router.Fail = streamtest.ErrDisk
	h.router.Mu.Unlock()
	odd := h.do("ana", "POST", path, strings.Replace(body, "c1", "c5", 1))
	h.want("unforeseen", odd, 500, "code", "internal")
	if strings.Contains(odd.text, "canary") || !strings.Contains(h.log.String(), "canary") {
		t.Errorf("the cause belongs into the log only: answer %s", odd.text)
	}
}

func TestGrants(t *testing.T) {
	h := newHouse(t, nil)
	conv := h.router.Open(streamtest.Service(), streamtest.Account())
	h.router.MakeJoin(h.users["ana"].ID, conv)
	path := "/conversations/" + conv.String() + "/grants"
	a := h.do("ana", "POST", path, `{"purpose":"cobrowse"}`)
	h.want("mint", a, 200)
	g, err := h.grants.Redeem(a.get("grant"), "cobrowse")
	if err != nil || g.Subject != h.users["ana"].ID.String() || g.Conversation != conv || g.Plugin != "webchat" || g.Session == "" {
		t.Errorf("grant = %+v, %v", g, err)
	}
	h.want("bad purpose", h.do("ana", "POST", path, `{"purpose":"../x"}`), 422, "code", "invalid")
	h.want("supervisor who takes no part", h.do("sue", "POST", path, `{"purpose":"cobrowse"}`), 409, "code", "not_joined")
	h.want("stranger", h.do("ben", "POST", path, `{"purpose":"cobrowse"}`), 404, "code", "not_found")
}

// upload sends a file in a form.
func (h *house) upload(as string, conv conversation.ConversationID, field, name string, content []byte) answer {
	h.t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, err := form.CreateFormFile(field, name)
	if err != nil {
		h.t.Fatal(err)
	}
	_, _ = part.Write(content)
	_ = form.Close()
	return h.do(as, "POST", "/conversations/"+conv.String()+"/files", b.String(), "Content-Type", form.FormDataContentType())
}

// raw posts a body in chunks of the test's own making.
func (h *house) raw(as, path, kind, chunks string) answer {
	h.t.Helper()
	c, err := net.Dial("tcp", h.web.Listener.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	_, err = fmt.Fprintf(c, "POST /api/v1%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n%s",
		path, h.tokens[as], kind, chunks)
	if err != nil {
		h.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// PR2, FT12: when the store cannot take files that is the server's fault: 503, whatever was sent.
func TestUploadsWithoutDisk(t *testing.T) {
	h := newHouse(t, nil)
	conv := h.router.Open(streamtest.Service(), streamtest.Account())
	h.router.MakeJoin(h.users["ana"].ID, conv)
	var pic bytes.Buffer
	if err := png.Encode(&pic, image.NewRGBA(image.Rect(0, 0, 3, 2))); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(h.data, "blobs")
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	h.want("picture", h.upload("ana", conv, "file", "a.png", pic.Bytes()), 503, "code", "unavailable")
	h.want("text", h.upload("ana", conv, "file", "a.txt", []byte("hello")), 503, "code", "unavailable")
	h.want("type", h.upload("ana", conv, "file", "a.html", []byte("<!doctype html>")), 415, "code", "type_refused")
}

// FT22: an agent who has uploaded as much as an hour allows is told so, and when they may upload
// again.
func TestUploadsOfHour(t *testing.T) {
	h := newHouse(t, nil)
	conv := h.router.Open(streamtest.Service(), streamtest.Account())
	h.router.MakeJoin(h.users["ana"].ID, conv)
	h.router.MakeJoin(h.users["ben"].ID, conv)
	text := bytes.Repeat([]byte("x"), 90_000)
	for range 11 {
		h.want("within the limit", h.upload("ana", conv, "file", "a.txt", text), 201)
	}
	full := h.upload("ana", conv, "file", "a.txt", text)
	h.want("beyond", full, 429, "code", "rate_limited", "errors.0.where", "file")
	if after, err := strconv.Atoi(full.header.Get("Retry-After")); err != nil || after < 3000 || after > 3600 {
		t.Errorf("Retry-After %q, want the rest of the hour", full.header.Get("Retry-After"))
	}
	h.want("another agent's", h.upload("ben", conv, "file", "a.txt", text), 201)
}

func TestFiles(t *testing.T) {
	h := newHouse(t, nil)
	conv := h.router.Open(streamtest.Service(), streamtest.Account())
	h.router.MakeJoin(h.users["ana"].ID, conv)
	var pic bytes.Buffer
	if err := png.Encode(&pic, image.NewRGBA(image.Rect(0, 0, 3, 2))); err != nil {
		t.Fatal(err)
	}
	a := h.upload("ana", conv, "file", `..\..\etc/pic.png`, pic.Bytes())
	h.want("picture", a, 201, "file.mime", "image/png", "file.width", "3", "file.height", "2", "file.name", "pic.png")
	id := a.get("file.blob")
	link := h.do("ana", "GET", "/files/"+id+"/url", nil)
	h.want("address", link, 200)
	if !strings.HasPrefix(link.get("url"), "https://files.example.com/f/"+id+"/") {
		t.Errorf("url = %q", link.get("url"))
	}
	h.want("supervisor", h.do("sue", "GET", "/files/"+id+"/url", nil), 200)
	h.want("stranger", h.do("ben", "GET", "/files/"+id+"/url", nil), 404, "code", "not_found")
	h.want("none", h.do("ana", "GET", "/files/01890000-0000-7000-8000-000000000000/url", nil), 404, "code", "not_found")
	h.want("not joined", h.upload("sue", conv, "file", "a.png", pic.Bytes()), 409, "code", "not_joined")
	h.want("stranger uploads", h.upload("ben", conv, "file", "a.png", pic.Bytes()), 404, "code", "not_found")
	for name, content := range map[string]string{
		"a.html": "<!doctype html><script>alert(1)</script>", "a.svg": `<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>`,
		"a.exe": "MZ\x90\x00\x03", "a.png": "<html>not a picture</html>", "empty.png": "",
	} {
		h.want("type of "+name, h.upload("ana", conv, "file", name, []byte(content)), 415, "code", "type_refused")
	}
	h.want("too large", h.upload("ana", conv, "file", "a.txt", bytes.Repeat([]byte("text "), 30_000)), 413, "code", "too_large")
	h.want("wrong field", h.upload("ana", conv, "picture", "a.png", pic.Bytes()), 400, "code", "malformed")
	h.want("no form", h.do("ana", "POST", "/conversations/"+conv.String()+"/files", "{}"), 400, "code", "malformed")
	h.want("cut off", h.do("ana", "POST", "/conversations/"+conv.String()+"/files",
		"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhello", "Content-Type", "multipart/form-data; boundary=b"), 400, "code", "malformed")
	const head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhello"
	// FT23: a broken chunk is the client's fault, in the file as well as in the form before it.
	for name, body := range map[string]string{
		"broken chunk":             fmt.Sprintf("%x\r\n%s\r\nzz\r\n", len(head), head),
		"broken chunk in the form": fmt.Sprintf("%x\r\n%s\r\nzz\r\n", 20, head[:20]),
		"chunk longer than said":   fmt.Sprintf("%x\r\n%s!!\r\n", len(head), head),
	} {
		h.want(name, h.raw("ana", "/conversations/"+conv.String()+"/files", "multipart/form-data; boundary=b", body), 400, "code", "malformed")
	}
	h.want("broken chunk of JSON", h.raw("ana", "/conversations/"+conv.String()+"/messages", "application/json", "2\r\n{\"\r\nzz\r\n"), 400, "code", "malformed")
	h.want("headers without end", h.do("ana", "POST", "/conversations/"+conv.String()+"/files",
		"--b\r\n"+strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 200), "Content-Type", "multipart/form-data; boundary=b"), 400, "code", "malformed")
}

func TestRecords(t *testing.T) {
	h := newHouse(t, nil)
	team := h.do("adam", "POST", "/teams", `{"name":"First line"}`)
	h.want("team", team, 201, "name", "First line")
	h.want("same name", h.do("adam", "POST", "/teams", `{"name":"first LINE"}`), 409, "code", "taken", "errors.0.where", "name")
	h.want("no name", h.do("adam", "POST", "/teams", `{"name":" "}`), 422, "code", "invalid", "errors.0.where", "name")
	h.want("rename", h.do("adam", "PUT", "/teams/"+team.get("id"), `{"name":"Second line"}`), 200, "name", "Second line")
	h.want("replace what is not there", h.do("adam", "PUT", "/teams/01890000-0000-7000-8000-000000000000", `{"name":"X"}`), 404, "code", "not_found")
	h.want("read", h.do("ana", "GET", "/teams/"+team.get("id"), nil), 200, "name", "Second line")
	h.want("skill", h.do("adam", "POST", "/skills", `{"name":"german"}`), 201)
	h.want("skill under another name", h.do("adam", "PUT", "/skills/german", `{"name":"french"}`), 422, "code", "invalid")
	user := h.do("adam", "POST", "/users", `{"login":"Eve","name":"Eve","role":"agent","skills":["german"],"teams":["`+team.get("id")+`"]}`)
	h.want("user", user, 201, "login", "eve", "skills.0", "german")
	h.want("user without role", h.do("adam", "POST", "/users", `{"login":"x","name":"X"}`), 422, "code", "invalid")
	h.want("user with an unknown skill", h.do("adam", "POST", "/users", `{"login":"x","name":"X","role":"agent","skills":["magic"]}`), 422, "code", "invalid", "errors.0.where", "skills[0]")
	svc := h.do("adam", "POST", "/services", `{"name":"Sales","rules":{"offer_timeout":20000,"share":25},"skills":["german"],"teams":["`+team.get("id")+`"]}`)
	h.want("service", svc, 201, "rules.offer_timeout", "20000", "rules.skills", "german")
	h.want("directory", h.do("ana", "GET", "/directory", nil), 200, "services.0.name", "Sales", "agents.0.status", "logged_out")
	h.want("password too short", h.do("adam", "PUT", "/users/"+user.get("id")+"/password", `{"password":"short"}`), 422, "code", "password")

	acc := `{"plugin":"toy","name":"Site","service":"` + svc.get("id") + `","enabled":true,"settings":{"colour":"red"}`
	h.want("account that its plugin refuses", h.do("adam", "POST", "/accounts", acc+`}`), 422, "code", "invalid", "errors.0.where", "settings/token")
	made := h.do("adam", "POST", "/accounts", acc+`,"secrets":{"token":"canary-7f3a"}}`)
	h.want("account", made, 201, "settings.colour", "red")
	h.want("account keeps its secrets", h.do("adam", "PUT", "/accounts/"+made.get("id"), acc+`}`), 200)
	for _, a := range []answer{made, h.do("adam", "GET", "/accounts", nil), h.do("adam", "GET", "/plugins", nil)} {
		if strings.Contains(a.text, "canary") {
			t.Errorf("a secret in %s", a.text)
		}
	}
	h.want("account of no plugin", h.do("adam", "POST", "/accounts", strings.Replace(acc, "toy", "nix", 1)+`}`), 422, "code", "invalid", "errors.0.where", "plugin")
	h.host.down = true
	h.want("enabled while the plugin is away", h.do("adam", "PUT", "/accounts/"+made.get("id"), acc+`}`), 503, "code", "unavailable")
	h.want("disabled while the plugin is away", h.do("adam", "PUT", "/accounts/"+made.get("id"), strings.Replace(acc, `"enabled":true`, `"enabled":false`, 1)+`}`), 200, "enabled", "false")
	h.want("plugins", h.do("adam", "GET", "/plugins", nil), 200, "items.0.id", "toy", "items.0.state", "ready", "items.0.account_schema.type", "object")
	h.want("doctor", h.do("adam", "GET", "/doctor", nil), 200, "items.0.name", "plugin toy", "items.0.status", "ok")
	h.want("board", h.do("sue", "GET", "/board", nil), 200)
}

func TestContacts(t *testing.T) {
	h := newHouse(t, nil)
	c := h.do("ana", "POST", "/contacts", `{"name":"Carla Customer","addresses":["+49 30 901820"]}`)
	h.want("create", c, 201, "addresses.0", "+4930901820")
	path := "/contacts/" + c.get("id")
	h.want("read", h.do("ben", "GET", path, nil), 200, "name", "Carla Customer")
	h.want("by address", h.do("ana", "GET", "/contacts?address=%2B4930901820", nil), 200, "items.0.id", c.get("id"))
	h.want("by name", h.do("ana", "GET", "/contacts?q=carla", nil), 200, "items.0.id", c.get("id"))
	h.want("nobody", h.do("ana", "GET", "/contacts?q=zzz", nil), 200, "items.0", "")
	h.want("replace", h.do("ana", "PUT", path, `{"name":"Carla C"}`), 200, "name", "Carla C")
	h.want("bad address", h.do("ana", "PUT", path, `{"name":"C","addresses":["12"]}`), 422, "code", "invalid")
	h.want("agents do not erase", h.do("ana", "DELETE", path, nil), 403, "code", "denied")
	h.want("erase", h.do("sue", "DELETE", path, nil), 204)
	h.want("gone", h.do("ana", "GET", path, nil), 404, "code", "not_found")
	h.want("erase again", h.do("sue", "DELETE", path, nil), 404, "code", "not_found")
}

func TestApply(t *testing.T) {
	h := newHouse(t, nil)
	yaml := "skills:\n  - name: german\nusers:\n  - login: eve\n    name: Eve\n    password: a very good one\n"
	apply := func(path, text string) answer {
		return h.do("adam", "POST", path, text, "Content-Type", "application/yaml")
	}
	h.want("dry run", apply("/apply?dry_run=true", yaml), 200, "changes.0.action", "created", "changes.1.name", "eve")
	h.want("apply", apply("/apply", yaml), 200, "changes.0.action", "created", "changes.1.name", "eve")
	h.want("again", apply("/apply", yaml), 200, "changes", "[]")
	bad := apply("/apply", "users:\n  - login: eve\n    name: Eve\n    role: king\n")
	h.want("wrong role", bad, 422, "code", "invalid")
	if !strings.Contains(bad.get("errors.0.where"), "records.yaml:") {
		t.Errorf("the fault has no line: %s", bad.text)
	}
	h.want("not YAML", apply("/apply", "{"), 422, "code", "invalid")
	h.want("unknown key", apply("/apply", "kings: []\n"), 422, "code", "invalid")
	for _, place := range []string{"{file: /etc/passwd}", "{env: PATH}"} {
		h.want("secret at "+place, apply("/apply", "users:\n  - login: eve\n    name: Eve\n    password: "+place+"\n"), 422, "code", "invalid")
	}
	h.want("secret file by name", apply("/apply", "accounts:\n  - name: a\n    plugin: toy\n    secrets: {token_file: /etc/passwd}\n"), 422, "code", "invalid")
}

func TestSessionRate(t *testing.T) {
	h := newHouse(t, func(o *api.Options) { o.RequestsPerSecond, o.Burst = .001, 3 })
	for range 3 {
		h.want("within", h.do("ana", "GET", "/me", nil), 200)
	}
	a := h.do("ana", "GET", "/me", nil)
	h.want("beyond", a, 429, "code", "rate_limited")
	if a.header.Get("Retry-After") == "" {
		t.Error("429 without Retry-After")
	}
	h.want("somebody else", h.do("ben", "GET", "/me", nil), 200)
}

func TestUnknownPaths(t *testing.T) {
	h := newHouse(t, nil)
	for _, path := range []string{"/nothing", "/conversations/a/b/c", ""} {
		h.want("GET "+path, h.do("ana", "GET", path, nil), 404, "code", "not_found")
	}
}
