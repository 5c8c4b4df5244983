package pluginhost

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost/wire"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Limits of hooks.
const (
	defaultHookBudget = 10 * time.Second
	// unknownHookBudget is used until the plugin was described once: the shortest budget of the
	// carriers that we know (Telnyx), so that none is exceeded.
	unknownHookBudget = 1500 * time.Millisecond
	defaultHookBody   = 1 << 20  // bytes
	maxHookBody       = 4 << 20  // bytes
	maxHooks          = 2048     // waiting or under way, for each plugin
	maxHookBytes      = 64 << 20 // total size of these hooks in bytes
)

// HookRequest is a raw webhook.
type HookRequest struct {
	Method   string
	URL      string // the configured public URL with path and query, as signatures see it
	Header   http.Header
	Body     []byte
	RemoteIP string
	// Received is when the first byte arrived; zero = now.
	Received time.Time
}

// HookResponse is the answer to the carrier. Every event of the hook is durable by then, or refused
// for good and logged.
type HookResponse struct {
	Status int
	Header http.Header
	Body   []byte
	Reason string // reason for a 4xx: "signature", "malformed" ...
}

// hookCall is one hook in one session.
type hookCall struct {
	account   conversation.AccountID
	source    source
	frame     *pluginv1.Hook
	size      int
	sent      bool
	sentAt    time.Time
	abandoned time.Time // when its caller gave up; zero = the caller still waits
	outcome   chan hookOutcome
	once      sync.Once
}

type hookOutcome struct {
	result *pluginv1.HookResult
	err    error
}

func (c *hookCall) answer(o hookOutcome) { c.once.Do(func() { c.outcome <- o }) }

func (c *hookCall) suspect() suspect {
	return suspect{key: c.poisonKey(), source: c.source, hook: true}
}

func (c *hookCall) poisonKey() poisonKey {
	f := c.frame
	return hookKey([]byte(f.GetAccount()), []byte(f.GetMethod()), []byte(f.GetUrl()), f.GetBody())
}

// Hook gives a webhook to the plugin that serves account and returns the plugin's answer when every
// event in it is durable. If the plugin dies meanwhile, the call waits for the next generation,
// within the plugin's declared budget and ctx. ErrUnknownAccount, ErrNoHook, ErrMethod and
// ErrTooLarge are the carrier's fault; for ErrUnavailable, ErrNotDurable, ErrBusy, ErrQuarantined
// and ErrClosed the caller must answer 503.
func (h *Host) Hook(ctx context.Context, account conversation.AccountID, req HookRequest) (HookResponse, error) {
	p := h.pluginOf(account)
	if p == nil {
		return HookResponse{}, fmt.Errorf("hook: %w", ErrUnknownAccount)
	}
	start := time.Now()
	resp, err := p.hook(ctx, account, req)
	p.meters.hook(resp.Status, err, time.Since(start))
	if err != nil {
		return HookResponse{}, fmt.Errorf("hook: account %s: %w", account, err)
	}
	return resp, nil
}

func (p *hosted) hook(ctx context.Context, account conversation.AccountID, req HookRequest) (HookResponse, error) {
	started := time.Now()
	budget := unknownHookBudget
	frame := hookFrame(account, req)
	for {
		if d := p.described(); d != nil {
			if err := checkHook(d.GetHook(), req); err != nil {
				return HookResponse{}, err
			}
			budget = p.budgetOf(account, d.GetHook())
		}
		left, stop := context.WithDeadline(ctx, started.Add(within(budget)))
		outcome, err := p.hookOnce(left, account, frame, req)
		stop()
		switch {
		case err != nil:
			return HookResponse{}, err
		case outcome.err == nil:
			resp := hookResponse(outcome.result)
			if resp.Status >= http.StatusBadRequest && p.refusedAsDisabled(account) {
				return HookResponse{}, fmt.Errorf("%w: another node serves the account", ErrUnavailable)
			}
			return resp, nil
		case outcome.err == ErrGone: //nolint:errorlint // set by failHooks, never wrapped
			continue
		default:
			return HookResponse{}, outcome.err
		}
	}
}

// hookOnce offers the hook to the present or the next generation.
func (p *hosted) hookOnce(ctx context.Context, account conversation.AccountID, frame *pluginv1.Hook, req HookRequest) (hookOutcome, error) {
	s, err := p.awaitSession(ctx)
	if err != nil {
		return hookOutcome{}, err
	}
	if err := checkHook(p.described().GetHook(), req); err != nil {
		return hookOutcome{}, err
	}
	c := &hookCall{account: account, source: hookSource(account, req.RemoteIP), outcome: make(chan hookOutcome, 1)}
	c.frame = &pluginv1.Hook{
		Account: frame.GetAccount(), Method: frame.GetMethod(), Url: frame.GetUrl(), Headers: frame.GetHeaders(),
		Body: frame.GetBody(), RemoteIp: frame.GetRemoteIp(), ReceivedTime: frame.GetReceivedTime(),
	}
	c.size = proto.Size(c.frame)
	lane, parked := p.poison.hook(c)
	if parked {
		return hookOutcome{}, ErrQuarantined
	}
	if err := s.offerHook(c, lane); err != nil {
		return hookOutcome{}, err
	}
	select {
	case o := <-c.outcome:
		return o, nil
	case <-ctx.Done():
		s.abandonHook(c)
		return hookOutcome{}, fmt.Errorf("%w: no answer within the budget", ErrUnavailable)
	}
}

func hookFrame(account conversation.AccountID, req HookRequest) *pluginv1.Hook {
	f := &pluginv1.Hook{
		Account: account.String(), Method: req.Method, Url: encodable(req.URL), Body: req.Body,
		RemoteIp: req.RemoteIP, ReceivedTime: wire.ToMicros(req.Received),
	}
	if f.ReceivedTime == 0 {
		f.ReceivedTime = time.Now().UnixMicro()
	}
	for name, values := range req.Header {
		for _, v := range values {
			f.Headers = append(f.Headers, &pluginv1.Header{Name: cleaned(name), Value: cleaned(v)})
		}
	}
	return f
}

// encodable returns a URL as the contract can carry it. Bytes beyond ASCII do not belong in a URL
// (RFC 3986, 2). If they are not even UTF-8, as in a query from an old Latin-1 sender, they are
// percent-encoded, so that the plugin still gets every byte.
func encodable(url string) string {
	if utf8.ValidString(url) {
		return url
	}
	out := make([]byte, 0, len(url)+16)
	for i := range len(url) {
		if url[i] < utf8.RuneSelf {
			out = append(out, url[i])
			continue
		}
		out = fmt.Appendf(out, "%%%02X", url[i])
	}
	return string(out)
}

// cleaned returns a header's value as the contract can carry it. Most headers do not matter to a
// plugin, such as a Latin-1 User-Agent, so the request is not refused; if a header does matter,
// such as a signature, the plugin refuses the changed one.
func cleaned(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

func hookResponse(r *pluginv1.HookResult) HookResponse {
	resp := HookResponse{Status: int(r.GetStatus()), Header: http.Header{}, Body: r.GetBody(), Reason: r.GetReason()}
	if resp.Status < 200 || resp.Status > 599 {
		resp.Status = http.StatusOK
	}
	for _, h := range r.GetHeaders() {
		resp.Header.Add(h.GetName(), h.GetValue())
	}
	return resp
}

// checkHook refuses what the plugin did not declare; a nil info means that it accepts no hooks.
func checkHook(info *pluginv1.HookInfo, req HookRequest) error {
	if info == nil {
		return ErrNoHook
	}
	if !slices.Contains(hookMethods(info), req.Method) {
		return ErrMethod
	}
	if uint64(len(req.Body)) > hookBodyLimit(info) {
		return plugin.ErrTooLarge
	}
	return nil
}

// budgetOf returns within which time the carrier of an account wants its answer.
func (p *hosted) budgetOf(account conversation.AccountID, info *pluginv1.HookInfo) time.Duration {
	p.mu.Lock()
	own, ok := p.budgets[account]
	p.mu.Unlock()
	if ok {
		return own
	}
	return hookBudget(info)
}

func hookBudget(info *pluginv1.HookInfo) time.Duration {
	if ms := info.GetBudgetMs(); ms > 0 {
		return time.Duration(ms) * time.Millisecond
	}
	return defaultHookBudget
}

// within is how much of a budget may be spent waiting. The carrier counts from its first byte to
// our last one, and when its time is up it treats the webhook as lost (PR2).
func within(budget time.Duration) time.Duration { return budget - min(budget/10, 500*time.Millisecond) }

func hookBodyLimit(info *pluginv1.HookInfo) uint64 {
	if n := info.GetMaxBody(); n > 0 {
		return min(n, maxHookBody)
	}
	return defaultHookBody
}

func hookMethods(info *pluginv1.HookInfo) []string {
	if m := info.GetMethods(); len(m) > 0 {
		return m
	}
	return []string{http.MethodPost}
}

// offerHook queues a hook; the caller waits for its outcome.
func (s *session) offerHook(c *hookCall, in lane) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		c.answer(hookOutcome{err: ErrGone})
		return nil
	}
	if len(s.hooks) >= maxHooks || s.hookSize+c.size > maxHookBytes {
		return ErrBusy
	}
	if in == laneStranger && s.solo.strangers.len() >= maxStrangers {
		return ErrQuarantined
	}
	s.hookSeq++
	c.frame.Id = s.hookSeq
	s.hooks[c.frame.Id] = c
	s.hookSize += c.size
	switch in {
	case laneStranger:
		s.solo.strangers.push(soloItem{hook: c, lane: in})
	case laneAlone:
		s.solo.waiting.push(soloItem{hook: c, lane: in})
	default:
		s.out.hooks.push(c)
	}
	s.poke()
	return nil
}

// abandonHook is called when the caller has given up. A hook that was sent is remembered for a
// while, since it may still end the plugin.
func (s *session) abandonHook(c *hookCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.abandoned = time.Now()
	if !c.sent {
		s.removeHook(c)
	}
}

func (s *session) removeHook(c *hookCall) {
	if s.hooks[c.frame.GetId()] == c {
		delete(s.hooks, c.frame.GetId())
		s.hookSize -= c.size
		s.window.notify()
	}
}

func (s *session) forgetHooks(before time.Time) {
	for _, c := range s.hooks {
		if !c.abandoned.IsZero() && c.abandoned.Before(before) {
			s.removeHook(c)
		}
	}
}

// hookResult stores the events of an answer, in the order of the session, and then gives the answer
// to the caller.
func (s *session) hookResult(r *pluginv1.HookResult) {
	s.mu.Lock()
	c := s.hooks[r.GetId()]
	if c == nil || !c.sent {
		s.mu.Unlock()
		s.meters.unknownFrames.Inc()
		return
	}
	s.removeHook(c)
	s.solo.settleHook(c)
	s.announceIfWanted()
	s.mu.Unlock()
	s.poke()
	s.poison.answered(c, r.GetStatus())
	pending := &hookStore{call: c, result: r, left: len(r.GetEvents()) + 1}
	received := wire.FromMicros(c.frame.GetReceivedTime())
	for _, e := range r.GetEvents() {
		if res := e.GetResult(); res != nil {
			s.results.Add(1)
			s.credit(res)
		}
		s.ingest(e, c.account, received, false, func(ack plugin.Ack, in *plugin.Inbound) {
			if e.GetResult() != nil {
				if ack.Status != plugin.Retry && in != nil {
					s.commandSettled(in.Result.Command)
				}
				s.results.Done()
			}
			pending.stored(ack)
		})
	}
	pending.stored(plugin.Ack{Status: plugin.Committed})
}

// hookStore counts the events of one answer that are not yet stored.
type hookStore struct {
	call   *hookCall
	result *pluginv1.HookResult

	mu    sync.Mutex
	left  int
	retry bool
}

func (h *hookStore) stored(ack plugin.Ack) {
	h.mu.Lock()
	h.left--
	h.retry = h.retry || ack.Status == plugin.Retry
	done, retry := h.left == 0, h.retry
	h.mu.Unlock()
	if !done {
		return
	}
	if retry {
		h.call.answer(hookOutcome{err: plugin.ErrNotDurable})
		return
	}
	h.call.answer(hookOutcome{result: h.result})
}
