package pluginhost

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// TestSession opens a session without a process, for tests of what travels in it.
type TestSession struct{ s *session }

// OpenTestSession opens a session on the client's stream.
func OpenTestSession(ctx context.Context, core Core, client pluginv1.PluginServiceClient, d *pluginv1.DescribeResponse, owned ...conversation.AccountID) (*TestSession, error) {
	p := map[conversation.AccountID]bool{}
	for _, id := range owned {
		p[id] = true
	}
	s := newSession(sessionConfig{
		plugin: "test", instance: "test.1", core: core, owns: func(id conversation.AccountID) bool { return p[id] },
		status: func(*pluginv1.AccountStatus) {}, log: slog.New(slog.DiscardHandler), meters: newMeters().of("test"),
		poison: newPoison(), describe: d, storing: ctx,
	})
	err := s.open(ctx, &pluginv1.HostHello{}, func(ctx context.Context) (frameStream, error) { return client.Session(ctx) })
	return &TestSession{s}, err
}

// Port takes commands.
func (t *TestSession) Port() CommandPort { return t.s }

// Done is closed when the session is over.
func (t *TestSession) Done() <-chan struct{} { return t.s.done }

// Cause says why it is over.
func (t *TestSession) Cause() error { return t.s.cause() }

// End ends the session as the host does.
func (t *TestSession) End(ctx context.Context) { t.s.end(ctx) }

// Cut ends it as a lost connection does.
func (t *TestSession) Cut() {
	t.s.fail(ErrGone)
	<-t.s.done
}

// Unsettled lists what it leaves undone.
func (t *TestSession) Unsettled(ctx context.Context) (begun, unbegun [][16]byte) {
	return t.s.unsettled(ctx)
}

// Errors of the contract for tests.
var (
	ErrUnresponsive = errUnresponsive
	ErrProtocol     = errProtocol
)

// CompileSchema and Split give tests the check of settings.
func CompileSchema(text string) (func(settings string) (string, []*pluginv1.Secret, []Problem), error) {
	s, err := compileSchema("test", text)
	if err != nil {
		return nil, err
	}
	return func(settings string) (string, []*pluginv1.Secret, []Problem) {
		return s.split(conversation.AccountID{}, []byte(settings))
	}, nil
}

// Conversions for round-trip tests.
var (
	FromParts   = fromParts
	ToParts     = toParts
	ToInbound   = toInbound
	HookFrame   = hookFrame
	IsHandshake = isHandshake
)

// TestPump reads output like that of a child.
type TestPump struct {
	p       *logPump
	dropped atomic.Uint64
}

// NewTestPump logs to log.
func NewTestPump(log *slog.Logger) *TestPump {
	t := &TestPump{}
	t.p = newLogPump(log, &t.dropped)
	return t
}

func (t *TestPump) ReadStderr(r io.Reader)              { t.p.readStderr(r) }
func (t *TestPump) ReadStdout(r io.Reader, w io.Writer) { t.p.readStdout(r, w) }
func (t *TestPump) Dropped() uint64                     { return t.dropped.Load() }
func (t *TestPump) Last() string                        { return t.p.last() }

// ConvertMetrics converts a plugin's answer and tells how many series came of
// it and whether a registry would serve them.
func ConvertMetrics(plugin string, text []byte) (series int, consistent bool) {
	list, ok := convertMetrics(plugin, text)
	return len(list), ok && list.consistent()
}

// Backoff gives the pause after n failures in a row.
func Backoff(n int) time.Duration {
	return (&plugin{failures: n}).backoff()
}
