package webchat_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/webchat"
	"github.com/parley-gateway/parley/plugins/webchat/internal/fakehost"
)

// serveEnv is the environment variable that makes the test binary run as the plugin.
const serveEnv = "WEBCHAT_TEST_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveEnv) != "" {
		webchat.Serve()
	}
	goleak.VerifyTestMain(m)
}

const shopOrigin = "https://shop.example"

// built is used in place of the widget's build output.
func built() fstest.MapFS {
	return fstest.MapFS{
		".keep":                  {},
		".vite/manifest.json":    {Data: []byte(`{"src/panel/panel.html":{"file":"assets/panel-abc.js","isEntry":true,"css":["assets/panel-def.css"],"imports":["_x.js"]},"_x.js":{"file":"assets/x-1.js"}}`)},
		"assets/panel-abc.js":    {Data: []byte("// panel")},
		"assets/panel-def.css":   {Data: []byte("body{}")},
		"assets/x-1.js":          {Data: []byte("// x")},
		"widget.js":              {Data: []byte("// launcher")},
		"assets/picture-abc.svg": {Data: []byte("<svg/>")},
	}
}

// world is a plugin behind a fake gateway.
type world struct {
	t      testing.TB
	host   *fakehost.Host
	plugin *webchat.Plugin
	server *httptest.Server
	cancel context.CancelFunc
	from   string // the client's address; "" = this machine's own
}

// newWorld starts a world; settings are the account's JSON, "" = only the allowed_origins of the
// shop.
func newWorld(t testing.TB, settings string) *world {
	t.Helper()
	return newWorldOn(t, settings, func(h *fakehost.Host) sdk.Host { return h })
}

// newWorldOn starts a world whose plugin is attached to the host that wrap returns for the fake
// gateway.
func newWorldOn(t testing.TB, settings string, wrap func(*fakehost.Host) sdk.Host) *world {
	t.Helper()
	w := &world{t: t, plugin: webchat.New(built())}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.host.Gateway(w.plugin).ServeHTTP(rw, r)
	}))
	w.host = fakehost.New(slog.New(slog.DiscardHandler), w.server.URL)
	w.configure(settings)
	if err := w.plugin.Attach(ctx, wrap(w.host)); err != nil {
		t.Fatalf("attach: %v", err)
	}
	t.Cleanup(func() {
		stop, cancelStop := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancelStop()
		if err := w.plugin.Drain(stop); err != nil {
			t.Errorf("drain: %v", err)
		}
		cancel()
		w.host.Close()
		w.server.Close()
	})
	return w
}

func (w *world) config(settings string) *sdk.Config {
	if settings == "" {
		settings = `{"allowed_origins":["` + shopOrigin + `"]}`
	}
	return &sdk.Config{
		BaseURL:    w.server.URL + "/p/webchat",
		VisitorKey: sdk.NewSecret("0123456789abcdef0123456789abcdef"),
		Accounts:   []sdk.Account{{ID: "acc-1", Name: "demo", Settings: json.RawMessage(settings), Enabled: true}},
	}
}

func (w *world) configure(settings string) {
	w.t.Helper()
	if err := w.plugin.Configure(w.t.Context(), w.config(settings)); err != nil {
		w.t.Fatalf("configure: %v", err)
	}
}

func (w *world) await(what string, cond func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	if err := w.host.Await(ctx, cond); err != nil {
		w.t.Fatalf("waiting for %s: %v", what, err)
	}
}

// frame is a decoded frame from the server.
type frame struct {
	T            string            `json:"t"`
	Known        bool              `json:"known"`
	Token        string            `json:"token"`
	ID           string            `json:"id"`
	ClientID     string            `json:"client_id"`
	Conversation string            `json:"conversation"`
	Seq          uint64            `json:"seq"`
	Prev         uint64            `json:"prev"`
	Type         string            `json:"type"`
	Head         json.RawMessage   `json:"head"`
	Body         json.RawMessage   `json:"body"`
	Code         string            `json:"code"`
	Retry        bool              `json:"retry"`
	Reason       string            `json:"reason"`
	RetryMS      int64             `json:"retry_ms"`
	On           bool              `json:"on"`
	Name         string            `json:"name"`
	Position     uint32            `json:"position"`
	WaitMS       int64             `json:"wait_ms"`
	Grant        string            `json:"grant"`
	URL          string            `json:"url"`
	FileKeys     map[string]string `json:"file_keys"`
}

// client is a customer's socket.
type client struct {
	t     testing.TB
	conn  *websocket.Conn
	token string
	ahead []frame // frames that came before the answer that begin waited for
}

// dial opens a socket; status is the HTTP status of a refusal.
func (w *world) dial(origin string) (c *client, status int, err error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	header := http.Header{}
	if w.from != "" {
		header.Set("X-Forwarded-For", w.from)
	}
	if origin != "" {
		header.Set("Origin", origin)
	}
	conn, resp, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(w.server.URL, "http")+"/p/webchat/ws", &websocket.DialOptions{HTTPHeader: header})
	if resp != nil {
		status = resp.StatusCode
		if resp.Body != nil {
			_ = resp.Body.Close()
		}
	}
	if err != nil {
		return nil, status, err
	}
	conn.SetReadLimit(1 << 20)
	w.t.Cleanup(func() { _ = conn.CloseNow() })
	return &client{t: w.t, conn: conn}, status, nil
}

// connect opens a socket as the panel does, and sends hello.
func (w *world) connect(hello map[string]any) *client {
	w.t.Helper()
	c, _, err := w.dial(w.server.URL)
	if err != nil {
		w.t.Fatalf("dial: %v", err)
	}
	if hello == nil {
		hello = map[string]any{}
	}
	hello["t"], hello["v"], hello["site"] = "hello", 1, "demo"
	c.send(hello)
	c.want("welcome")
	if token, ok := hello["token"].(string); ok {
		c.token = token
	}
	return c
}

// begin connects a new visitor and starts a conversation.
func (w *world) begin(text string) (*client, sdk.ThreadID, frame) {
	w.t.Helper()
	c := w.connect(nil)
	c.register()
	c.send(map[string]any{"t": "start", "client_id": "start-1", "form": map[string]string{"first_name": "Cleo", "message": text}})
	var ahead []frame
	// The stored events of the start may come before the answer to it.
	for {
		f, code := c.read()
		if code != 0 {
			w.t.Fatalf("closed with %d while waiting for the start's answer", code)
		}
		if f.T == "accepted" {
			c.ahead = ahead
			return c, w.thread(), f
		}
		ahead = append(ahead, f)
	}
}

// thread is the thread of the last conversation that was started.
func (w *world) thread() sdk.ThreadID {
	events := w.host.Events()
	for i := len(events) - 1; i >= 0; i-- {
		if _, ok := events[i].Body.(sdk.Start); ok {
			return events[i].Thread
		}
	}
	w.t.Fatal("no start was emitted")
	return ""
}

func (c *client) register() {
	c.t.Helper()
	c.send(map[string]any{"t": "register"})
	c.token = c.want("visitor").Token
	c.want("live")
}

func (c *client) send(v any) {
	c.t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.raw(text); err != nil {
		c.t.Fatalf("send %s: %v", text, err)
	}
}

func (c *client) raw(text []byte) error {
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	return c.conn.Write(ctx, websocket.MessageText, text)
}

// read returns the next frame, or the close code.
func (c *client) read() (frame, websocket.StatusCode) {
	c.t.Helper()
	if len(c.ahead) > 0 {
		f := c.ahead[0]
		c.ahead = c.ahead[1:]
		return f, 0
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	_, text, err := c.conn.Read(ctx)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			c.t.Fatalf("no frame came")
		}
		if errors.Is(err, io.EOF) {
			return frame{}, websocket.StatusAbnormalClosure
		}
		return frame{}, websocket.CloseStatus(err)
	}
	var f frame
	if err := json.Unmarshal(text, &f); err != nil {
		c.t.Fatalf("frame %s: %v", text, err)
	}
	return f, 0
}

// want skips to the next frame of a kind.
func (c *client) want(kind string) frame {
	c.t.Helper()
	return c.wantThat(kind, func(frame) bool { return true })
}

// wantThat skips to the next frame of a kind that ok takes. Events come before or after the answers to
// what caused them, so those that are skipped on the way to an answer are read later.
func (c *client) wantThat(kind string, ok func(frame) bool) frame {
	c.t.Helper()
	var seen []string
	var events []frame
	defer func() { c.ahead = append(events, c.ahead...) }()
	for {
		f, code := c.read()
		if code != 0 {
			c.t.Fatalf("closed with %d while waiting for %q; got %v", code, kind, seen)
		}
		if f.T == kind && ok(f) {
			return f
		}
		if f.T == "event" && kind != "event" {
			events = append(events, f)
		}
		seen = append(seen, f.T+" "+f.Type+f.Code+f.Reason)
	}
}

// wantEvent skips to the next event of a type.
func (c *client) wantEvent(kind string) frame {
	c.t.Helper()
	return c.wantThat("event", func(f frame) bool { return f.Type == kind })
}

// wantClose reads to the end and returns the last bye and the code.
func (c *client) wantClose() (bye frame, code websocket.StatusCode) {
	c.t.Helper()
	for {
		f, code := c.read()
		if code != 0 {
			return bye, code
		}
		if f.T == "bye" {
			bye = f
		}
	}
}
