package kit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest/memgateway"
)

// canary is the text of the kit's messages; it must not appear in any log.
const canary = "kit-canary-5f2c71"

// subject is the plugin under test.
type subject struct {
	opts   Options
	desc   *pluginv1.DescribeResponse
	leased bool                // the first account is for one node at a time
	procs  []*process          // processes of the present check
	store  *memgateway.Service // what the processes of the present check have stored
}

// fresh begins a check: nothing is stored.
func (s *subject) fresh() {
	s.store = &memgateway.Service{Owns: func(account string) bool {
		return slices.ContainsFunc(s.opts.Fixtures.Accounts, func(a Account) bool { return a.ID == account })
	}}
}

// start launches the plugin and connects to it.
func (s *subject) start(ctx context.Context) (*process, error) {
	p, err := s.launch()
	if err != nil {
		return nil, err
	}
	return p, p.connect(ctx)
}

func (s *subject) launch(extra ...string) (*process, error) {
	p, err := launch(&s.opts, extra...)
	if err != nil {
		return nil, err
	}
	s.procs = append(s.procs, p)
	return p, nil
}

// cleanUp ends the check's processes and returns the ends of their logs.
func (s *subject) cleanUp() string {
	var tail strings.Builder
	for _, p := range s.procs {
		text := p.log()
		tail.WriteString(text[max(0, len(text)-4096):])
		p.stop()
	}
	s.procs = nil
	return tail.String()
}

// describe calls Describe on a fresh process.
func (s *subject) describe(ctx context.Context) (*pluginv1.DescribeResponse, error) {
	defer s.cleanUp()
	p, err := s.start(ctx)
	if err != nil {
		return nil, err
	}
	return p.describe(ctx)
}

func (p *process) describe(ctx context.Context) (*pluginv1.DescribeResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	d, err := p.Describe(ctx, &pluginv1.DescribeRequest{HostMinor: contract.Minor})
	if err != nil {
		return nil, fmt.Errorf("describe: %w", err)
	}
	p.ledger.Connected = d.GetDelivery() == pluginv1.Delivery_DELIVERY_CONNECTED
	return d, nil
}

// configure sends the sample configuration, changed by edit.
func (s *subject) configure(ctx context.Context, p *process, edit func(*pluginv1.ConfigureRequest)) (*pluginv1.ConfigureResponse, error) {
	if err := p.serveGateway(ctx, s.store); err != nil {
		return nil, err
	}
	req := s.opts.Fixtures.config()
	req.GatewaySocket, req.HttpSocket = p.gatewaySocket(), p.httpSocket()
	if edit != nil {
		edit(req)
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	resp, err := p.Configure(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("configure: %w", err)
	}
	if !req.GetValidateOnly() && len(resp.GetProblems()) == 0 {
		p.ledger.Configure(req.GetAccounts())
	}
	return resp, nil
}

// accept configures the plugin and returns an error if it reports problems.
func (s *subject) accept(ctx context.Context, p *process) error {
	resp, err := s.configure(ctx, p, nil)
	if err != nil {
		return err
	}
	if ps := resp.GetProblems(); len(ps) > 0 {
		return fmt.Errorf("the sample configuration has problems: %s%s %s %s", ps[0].GetAccount(), ps[0].GetPath(), ps[0].GetCode(), ps[0].GetText())
	}
	return nil
}

// configured starts a process and gives it the sample configuration.
func (s *subject) configured(ctx context.Context) (*process, error) {
	p, err := s.start(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := p.describe(ctx); err != nil {
		return nil, err
	}
	return p, s.accept(ctx, p)
}

// ready starts a process, configures it and opens a Session.
func (s *subject) ready(ctx context.Context, policy wirehost.Policy) (*process, *wirehost.Session, error) {
	p, err := s.configured(ctx)
	if err != nil {
		return nil, nil, err
	}
	ses, err := p.session(ctx, nil, policy)
	return p, ses, err
}

// session opens a Session and waits for the plugin's hello.
func (p *process) session(ctx context.Context, hello *pluginv1.HostHello, policy wirehost.Policy) (*wirehost.Session, error) {
	if policy.Ledger == nil {
		policy.Ledger = &p.ledger
	}
	ses, err := wirehost.Open(ctx, p.conn, hello, policy)
	if err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := ses.Wait(wait, func(it wirehost.Item) bool { return it.Hello != nil }); err != nil {
		return nil, fmt.Errorf("wait for the plugin's hello: %w", err)
	}
	return ses, nil
}

// ping sends a ping and returns an error if its pong does not come within limit.
func ping(ctx context.Context, ses *wirehost.Session, id uint64, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := ses.Ping(id); err != nil {
		return fmt.Errorf("ping %d: %w", id, err)
	}
	if _, err := ses.Wait(ctx, func(it wirehost.Item) bool { return it.Pong != nil && it.Pong.GetId() == id }); err != nil {
		return fmt.Errorf("no pong with id %d within %v: %w", id, limit, err)
	}
	return nil
}

// command makes the n-th send command; the commands are spread over the given number of threads.
func (s *subject) command(n, threads int) *pluginv1.Command {
	f := &s.opts.Fixtures
	thread := f.Send.Thread
	if t := n % threads; t > 0 {
		thread = fmt.Sprintf("%s-%d", thread, t)
	}
	return &pluginv1.Command{
		CommandId: fmt.Sprintf("00000000-0000-7000-8000-%012d", n), Account: f.Accounts[0].ID, Thread: thread,
		Conversation: fmt.Sprintf("00000000-0000-7000-9000-%012d", n%threads), Attempt: 1,
		Deadline: time.Now().Add(s.opts.Patience).UnixMicro(),
		Kind: &pluginv1.Command_Send{Send: &pluginv1.Send{
			MessageId: fmt.Sprintf("00000000-0000-7000-a000-%012d", n), To: f.Send.To, Author: "Kit",
			Parts: []*pluginv1.Part{{Part: &pluginv1.Part_Text{Text: &pluginv1.Text{Text: canary}}}},
		}},
	}
}

// deliver sends the commands from first up to end, 32 at a time, and waits for every Result.
func (s *subject) deliver(ctx context.Context, ses *wirehost.Session, first, end, threads int) (map[string]*pluginv1.Result, error) {
	out := map[string]*pluginv1.Result{}
	for from := first; from < end; from += contract.AccountWindow {
		var cmds []*pluginv1.Command
		for i := from; i < min(end, from+contract.AccountWindow); i++ {
			cmds = append(cmds, s.command(i, threads))
		}
		if err := ses.Command(cmds...); err != nil {
			return nil, fmt.Errorf("send commands: %w", err)
		}
		for _, c := range cmds {
			r, err := result(ctx, ses, c.GetCommandId(), s.opts.Patience)
			if err != nil {
				return nil, err
			}
			out[c.GetCommandId()] = r
		}
	}
	return out, nil
}

func result(ctx context.Context, ses *wirehost.Session, id string, limit time.Duration) (*pluginv1.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r, err := ses.Result(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("no result for command %s within %v: %w", id, limit, err)
	}
	return r, nil
}

// settled checks that an outcome is well-formed.
func settled(r *pluginv1.Result) error {
	switch r.GetOutcome() {
	case pluginv1.Outcome_OUTCOME_SENT, pluginv1.Outcome_OUTCOME_UNKNOWN:
		return nil
	case pluginv1.Outcome_OUTCOME_FAILED:
		if r.GetErrorKind() == pluginv1.ErrorKind_ERROR_KIND_UNSPECIFIED {
			return fmt.Errorf("command %s failed without an error kind", r.GetCommandId())
		}
		return nil
	default:
		return fmt.Errorf("command %s has outcome %v", r.GetCommandId(), r.GetOutcome())
	}
}

// answer sends a webhook and returns the plugin's answer.
func answer(ctx context.Context, ses *wirehost.Session, h *pluginv1.Hook, limit time.Duration) (*pluginv1.HookResult, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := ses.Hook(h); err != nil {
		return nil, fmt.Errorf("hook: %w", err)
	}
	r, err := ses.HookResult(ctx, h.GetId())
	if err != nil {
		return nil, fmt.Errorf("no answer to hook %d within %v: %w", h.GetId(), limit, err)
	}
	return r, nil
}

// sameHook compares two answers to webhooks, without their ids.
func sameHook(a, b *pluginv1.HookResult) bool {
	a, b = proto.CloneOf(a), proto.CloneOf(b)
	a.Id, b.Id = 0, 0
	sortHeaders(a)
	sortHeaders(b)
	return proto.Equal(a, b)
}

// alive checks that the process still answers.
func alive(ctx context.Context, p *process, ses *wirehost.Session) error {
	if ses != nil {
		if err := ping(ctx, ses, 1<<40, 2*time.Second); err != nil {
			return err
		}
	}
	select {
	case <-p.exited:
		return fmt.Errorf("the process ended with code %d", p.code)
	default:
	}
	_, err := p.describe(ctx)
	return err
}

func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return ln, nil
}

var errNothing = errors.New("nothing happened")

// quiet waits for d and returns an error if an item comes that match accepts.
func quiet(ctx context.Context, ses *wirehost.Session, d time.Duration, match func(wirehost.Item) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d, errNothing)
	defer cancel()
	_, err := ses.Wait(ctx, match)
	if err == nil {
		return errors.New("it came")
	}
	if errors.Is(context.Cause(ctx), errNothing) {
		return nil
	}
	return err
}
