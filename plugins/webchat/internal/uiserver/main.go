// Command uiserver runs the real plugin and the built widget behind the fake gateway, for the
// browser tests in widget/test. It prints its address and exits when standard input ends. POST
// /ctl/ACTION acts as the agent in the conversation that was started last.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/webchat"
	"github.com/parley-gateway/parley/plugins/webchat/internal/fakehost"
)

const (
	account  = "acc-1"
	settings = `{"demo_page":true,"title":"Fjellrev help","unresponsive_after":30,"form":{"fields":[{"name":"first_name"},{"name":"last_name"},{"name":"email"},{"name":"elements"},{"name":"l","label":"L"},{"name":"message","required":true}]},"texts":{"ar":{"start":"ابدأ المحادثة","welcome":"مرحبًا! كيف يمكننا مساعدتك؟","message":"كيف نساعدك؟","first_name":"الاسم","last_name":"العائلة","email":"البريد","optional":"اختياري"}}}`
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// server holds the generation of the plugin that is serving.
type server struct {
	ctx  context.Context //nolint:containedctx // the process's life
	url  string
	host *fakehost.Host

	mu     sync.Mutex
	plugin *webchat.Plugin
	stop   context.CancelFunc
	down   bool
}

func run(ctx context.Context) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	s := &server{ctx: ctx, url: "http://chat.localhost:" + port}
	s.host = fakehost.New(slog.New(slog.NewTextHandler(os.Stderr, nil)), s.url)
	if err := s.start(); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ctl/{action}", s.control)
	mux.HandleFunc("GET /ctl/events", s.events)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		p, down := s.plugin, s.down
		s.mu.Unlock()
		if down && r.URL.Path == "/p/webchat/ws" {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		s.host.Gateway(p).ServeHTTP(w, r)
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	fmt.Println(s.url)
	_ = srv.Serve(ln)
	s.host.Close()
	return nil
}

// start starts a new generation of the plugin.
func (s *server) start() error {
	p := webchat.New(webchat.Built())
	err := p.Configure(s.ctx, &sdk.Config{
		BaseURL: s.url + "/p/webchat", VisitorKey: sdk.NewSecret("a key of the test's"),
		Accounts: []sdk.Account{{ID: account, Name: "demo", Settings: json.RawMessage(settings), Enabled: true}},
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(s.ctx)
	if err := p.Attach(ctx, s.host); err != nil {
		stop()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plugin, s.stop, s.down = p, stop, false
	return nil
}

// end drains the generation; sockets are refused until the next start.
func (s *server) end() {
	s.mu.Lock()
	p, stop := s.plugin, s.stop
	s.down = true
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(s.ctx, 3*time.Second)
	defer cancel()
	_ = p.Drain(ctx)
	stop()
}

func (s *server) thread() sdk.ThreadID {
	events := s.host.Events()
	for i := len(events) - 1; i >= 0; i-- {
		if _, ok := events[i].Body.(sdk.Start); ok {
			return events[i].Thread
		}
	}
	return ""
}

func (s *server) control(w http.ResponseWriter, r *http.Request) {
	t, q := s.thread(), r.URL.Query()
	ok := true
	switch r.PathValue("action") {
	case "join":
		ok = s.host.Join(account, t, q.Get("name"))
	case "leave":
		ok = s.host.Leave(account, t)
	case "say":
		ok = s.host.Say(account, t, q.Get("name"), sdk.Text{Text: q.Get("text")})
	case "rich":
		ok = s.host.Say(account, t, q.Get("name"), sdk.RichText{HTML: q.Get("text")})
	case "choices":
		ok = s.host.Say(account, t, q.Get("name"), sdk.Choices{Text: q.Get("text"), Options: []sdk.Choice{
			{ID: "a", Title: "Rev 2"}, {ID: "b", Title: "Vidde 3"}, {ID: "c", Title: "Neither"}}})
	case "picture":
		ok = s.file(t, q.Get("name"), "camp.png", picture())
	case "document":
		ok = s.file(t, q.Get("name"), "Care instructions.pdf", append([]byte("%PDF-1.7\n"), make([]byte, 48_000)...))
	case "tool":
		ok = s.host.ToolAsked(account, t, sdk.SessionID(q.Get("session")))
	case "panel":
		revision, err := strconv.ParseUint(q.Get("revision"), 10, 64)
		ok = err == nil && s.host.ToolShows(account, t, sdk.SessionID(q.Get("session")), revision, json.RawMessage(q.Get("blocks")))
	case "tool_end":
		ok = s.host.ToolEnded(account, t, sdk.SessionID(q.Get("session")), q.Get("cause"), q.Get("note"))
	case "fail":
		var err error
		if code := q.Get("code"); code != "" {
			err = &sdk.RefusedError{Code: code}
		}
		s.host.Fail(err)
	case "deliver":
		ok = s.host.Read(account, t, false)
	case "read":
		ok = s.host.Read(account, t, true)
	case "warn":
		ok = s.host.Warn(account, t, "")
	case "end":
		ok = s.host.End(account, t)
	case "typing":
		s.current().Signal(r.Context(), sdk.Signal{Account: account, Thread: t, Kind: sdk.SignalTyping, On: q.Get("on") == "1", Name: q.Get("name")})
	case "queue":
		s.current().Signal(r.Context(), sdk.Signal{Account: account, Thread: t, Kind: sdk.SignalQueue, Position: 2, Wait: 97 * time.Second})
	case "hold":
		s.host.Hold()
	case "release":
		s.host.Release()
	case "down":
		s.end()
	case "up":
		ok = s.start() == nil
	default:
		ok = false
	}
	if !ok {
		http.Error(w, "no", http.StatusConflict)
	}
}

func (s *server) current() *webchat.Plugin {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plugin
}

func (s *server) file(t sdk.ThreadID, author, name string, data []byte) bool {
	f, err := s.host.Blobs().Put(s.ctx, sdk.BlobMeta{Account: account, Thread: t, Name: name}, bytes.NewReader(data))
	return err == nil && s.host.Say(account, t, author, f)
}

// picture is a small picture of a sunset.
func picture() []byte {
	img := image.NewRGBA(image.Rect(0, 0, 480, 320))
	for y := range 320 {
		for x := range 480 {
			c := color.RGBA{uint8(250 - y/4), uint8(200 - y/2), uint8(120 + y/4), 255}
			if dx, dy := x-330, y-170; dx*dx+dy*dy < 50*50 {
				c = color.RGBA{255, 225, 150, 255}
			}
			if y > 230+(x%160)/4-(x%97)/3 {
				c = color.RGBA{40, uint8(80 + x/12), 70, 255}
			}
			img.Set(x, y, c)
		}
	}
	var out bytes.Buffer
	_ = png.Encode(&out, img)
	return out.Bytes()
}

// events lists the events that the gateway has got, by kind.
func (s *server) events(w http.ResponseWriter, _ *http.Request) {
	type line struct{ Kind, URL, Title, Text string }
	out := []line{}
	for _, ev := range s.host.Events() {
		one := line{Kind: fmt.Sprintf("%T", ev.Body)}
		switch b := ev.Body.(type) {
		case sdk.CustomerTool:
			one.Text = string(b.Session) + " " + b.Action + " " + strconv.FormatUint(b.Revision, 10) + " " + string(b.Values)
		case sdk.Page:
			one.URL, one.Title = b.URL, b.Title
		case sdk.Start:
			if b.Page != nil {
				one.URL, one.Title = b.Page.URL, b.Page.Title
			}
		case sdk.Message:
			if t, ok := b.Parts[0].(sdk.Text); ok {
				one.Text = t.Text
			}
		}
		out = append(out, one)
	}
	if err := json.NewEncoder(w).Encode(out); err != nil {
		s.host.Logger().Error("events not written", "err", err)
	}
}
