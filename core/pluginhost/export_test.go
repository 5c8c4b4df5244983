package pluginhost

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost/wire"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// TestSession is a session without a process, for tests of the frames that are exchanged.
type TestSession struct{ s *session }

// OpenTestSession opens a session on the client's stream.
func OpenTestSession(ctx context.Context, core plugin.Core, client pluginv1.PluginServiceClient, d *pluginv1.DescribeResponse, owned ...conversation.AccountID) (*TestSession, error) {
	p := map[conversation.AccountID]bool{}
	for _, id := range owned {
		p[id] = true
	}
	info, err := wire.Info(d)
	if err != nil {
		return nil, err
	}
	serveFor := func() time.Duration { return 0 }
	if d.GetName() == "leased" {
		serveFor = func() time.Duration { return 7 * time.Second }
	}
	s := newSession(sessionConfig{
		plugin: "test", instance: "test.1", core: core, owns: func(id conversation.AccountID) bool { return p[id] },
		status: func(*pluginv1.AccountStatus) {}, log: slog.New(slog.DiscardHandler), meters: newMeters().of("test"),
		poison: newPoison(), describe: d, info: info, serveFor: serveFor, storing: ctx,
	})
	err = s.open(ctx, &pluginv1.HostHello{}, func(ctx context.Context) (frameStream, error) { return client.Session(ctx) })
	return &TestSession{s}, err
}

// Port is the session's port for commands.
func (t *TestSession) Port() plugin.CommandPort { return t.s }

// Done is closed when the session is over.
func (t *TestSession) Done() <-chan struct{} { return t.s.done }

// Cause returns why the session is over.
func (t *TestSession) Cause() error { return t.s.cause() }

// End ends the session as the host does.
func (t *TestSession) End(ctx context.Context) { t.s.end(ctx) }

// StopCommands begins to drain the session.
func (t *TestSession) StopCommands() { t.s.stopCommands() }

// SetInfo changes what the plugin says of itself, as a Configure does.
func (t *TestSession) SetInfo(info plugin.Info) { t.s.setInfo(info) }

// SetOff says which accounts another node may be serving, as a Configure does.
func (t *TestSession) SetOff(ids ...conversation.AccountID) {
	off := map[conversation.AccountID]struct{}{}
	for _, id := range ids {
		off[id] = struct{}{}
	}
	t.s.setOff(off)
}

// FillNotices queues notices for a bot until there is no room, without waking the writer.
func (t *TestSession) FillNotices(n plugin.BotNotice) (queued int) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	for ; t.s.out.bots.len() < maxNotices; queued++ {
		t.s.out.bots.push(wire.FromBotNotice(n))
	}
	return queued
}

// NoticeTool gives a notice to the plugin's tool.
func (t *TestSession) NoticeTool(n plugin.ToolNotice) { t.s.noticeTool(n) }

// Cut ends the session as a lost connection does.
func (t *TestSession) Cut() {
	t.s.fail(ErrGone)
	<-t.s.done
}

// Unsettled lists the commands that the session leaves undone.
func (t *TestSession) Unsettled(ctx context.Context) (begun, unbegun [][16]byte) {
	t.s.awaitResults(ctx)
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	for id, d := range t.s.window.flight {
		if d.begun {
			begun = append(begun, id)
		} else {
			unbegun = append(unbegun, id)
		}
	}
	return begun, unbegun
}

// TestPoison is what the host remembers of commands that were under way in crashes.
type TestPoison struct{ p *poison }

// NewTestPoison makes a TestPoison that remembers nothing yet.
func NewTestPoison() TestPoison { return TestPoison{newPoison()} }

func (t TestPoison) suspect(id [16]byte) suspect {
	return suspect{key: commandKey(id), source: source{thread: string(id[:])}}
}

// Crash says that a generation ended with these commands under way.
func (t TestPoison) Crash(ids ...[16]byte) {
	var list []suspect
	for _, id := range ids {
		list = append(list, t.suspect(id))
	}
	t.p.crash(list)
}

// Suspect reports whether a command would be tried alone.
func (t TestPoison) Suspect(id [16]byte) bool {
	one := t.suspect(id)
	return t.p.command(one.key, one.source) != laneOrdinary
}

func testHook(ip, text string) *hookCall {
	return &hookCall{source: hookSource(conversation.AccountID{}, ip), frame: &pluginv1.Hook{Body: []byte(text)}}
}

// Hook says that a webhook from ip was answered with a 2xx.
func (t TestPoison) Hook(ip, text string) { t.p.answered(testHook(ip, text), 200) }

// ParkHook says that a webhook from ip ended the plugin while it was alone.
func (t TestPoison) ParkHook(ip, text string) { t.p.park(testHook(ip, text).suspect(), time.Second) }

// Stranger reports whether a webhook from ip would be tried as a stranger's.
func (t TestPoison) Stranger(ip, text string) bool {
	l, _ := t.p.hook(testHook(ip, text))
	return l == laneStranger
}

// Len counts the remembered items, sources and parked hooks.
func (t TestPoison) Len() int { return len(t.p.items) + len(t.p.sources) + len(t.p.parked) }

// Unexported errors, for tests.
var (
	ErrUnresponsive = errUnresponsive
	ErrProtocol     = errProtocol
)

// CompileSchema gives tests access to the check of settings and to split.
func CompileSchema(text string) (func(settings string) (string, []*pluginv1.Secret, []Problem), error) {
	s, err := compileSchema("test", text)
	if err != nil {
		return nil, err
	}
	return func(settings string) (string, []*pluginv1.Secret, []Problem) {
		return s.split(conversation.AccountID{}, []byte(settings))
	}, nil
}

// Unexported functions, for tests.
var (
	HookFrame   = hookFrame
	IsHandshake = isHandshake
)

// TestPump reads output as if it came from a child.
type TestPump struct {
	p       *logPump
	dropped atomic.Uint64
}

// NewTestPump makes a pump that logs to log.
func NewTestPump(log *slog.Logger) *TestPump {
	t := &TestPump{}
	t.p = newLogPump(log, &t.dropped)
	return t
}

func (t *TestPump) ReadStderr(r io.Reader)              { t.p.readStderr(r) }
func (t *TestPump) ReadStdout(r io.Reader, w io.Writer) { t.p.readStdout(r, w) }
func (t *TestPump) Dropped() uint64                     { return t.dropped.Load() }
func (t *TestPump) Last() string                        { return t.p.last() }

// ConvertMetrics converts a plugin's answer and returns how many series resulted from it, and
// whether a registry would serve them.
func ConvertMetrics(plugin string, text []byte) (series int, consistent bool) {
	list, ok := convertMetrics(plugin, text)
	return len(list), ok && list.consistent()
}

// Backoff returns the pause after n failures in a row.
func Backoff(n int) time.Duration {
	return (&hosted{failures: n}).backoff()
}

// Within returns how much of a webhook's budget may be spent waiting.
func Within(budget time.Duration) time.Duration { return within(budget) }
