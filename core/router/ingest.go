package router

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/pluginhost"
)

// Limits of what a plugin may bring in one event.
const (
	maxText  = 64 << 10 // bytes of text over all parts
	maxParts = 32
	maxField = 4 << 10 // bytes of one name, address, attribute or URL
)

// arrival is an inbound event on its way to a conversation.
type arrival struct {
	in       pluginhost.Inbound
	acc      account
	done     func(pluginhost.Ack)
	n        uint64 // place in the thread
	attempts int
}

// Ingest makes an event of a plugin durable (pluginhost.Core).
func (r *Router) Ingest(ctx context.Context, in pluginhost.Inbound, done func(pluginhost.Ack)) {
	acc, ok := r.account(in.Account)
	if !ok || acc.plugin != in.Plugin || !acc.enabled {
		r.refuse(in, "unknown_account", done)
		return
	}
	if code := check(&in); code != "" {
		r.refuse(in, code, done)
		return
	}
	switch {
	case in.Result != nil:
		r.settle(in, done)
		return
	case in.Status != nil:
		r.deliveryStatus(in, done)
		return
	case in.Deferred != nil:
		r.deferProcess(in, acc, done)
		return
	}
	th := r.thread(in.Account, in.Thread)
	th.take(arrival{in: in, acc: acc, done: done})
}

// check finds what no conversation could take.
func check(in *pluginhost.Inbound) string {
	if in.Result == nil && in.Status == nil && in.Deferred == nil && (in.Thread == "" || len(in.Thread) > maxField) {
		return "invalid"
	}
	if len(in.DedupeKey) > maxField {
		return "invalid"
	}
	if m := in.Message; m != nil {
		if len(m.Parts) == 0 || len(m.ClientID) > 64 || len(m.Address) > maxField || len(m.Name) > maxField {
			return "invalid"
		}
		return checkParts(m.Parts)
	}
	if a := in.Action; a != nil {
		if s := a.Start; s != nil {
			for _, f := range []string{s.Body.Address, s.Body.Name, s.Body.FirstName, s.Body.LastName, s.Body.Email, s.Body.Phone, s.Body.Locale, s.Body.Subject} {
				if len(f) > maxField || !utf8.ValidString(f) {
					return "invalid"
				}
			}
			if len(s.ClientID) > 64 || !checkAttributes(s.Body.Attributes) || !checkPage(s.Body.Page) {
				return "invalid"
			}
			return checkParts(s.Parts)
		}
		if !checkAttributes(a.Attributes) || !checkPage(a.Page) {
			return "invalid"
		}
	}
	return ""
}

func checkPage(p *conversation.PageBody) bool {
	return p == nil || len(p.URL) <= maxField && len(p.Title) <= maxField && utf8.ValidString(p.URL) && utf8.ValidString(p.Title)
}

func checkAttributes(m map[string]string) bool {
	if len(m) > 64 {
		return false
	}
	for k, v := range m {
		if len(k) > 128 || len(v) > maxField || !utf8.ValidString(k) || !utf8.ValidString(v) {
			return false
		}
	}
	return true
}

func checkParts(parts []conversation.Part) string {
	if len(parts) > maxParts {
		return "too_large"
	}
	size := 0
	for i := range parts {
		p := &parts[i]
		size += len(p.Text) + len(p.HTML)
		if p.Raw != nil {
			size += len(p.Raw.Data)
		}
		if !utf8.ValidString(p.Text) || !utf8.ValidString(p.HTML) {
			return "invalid"
		}
		switch p.Kind {
		case conversation.PartText, conversation.PartRichText:
			if p.Text == "" && p.HTML == "" {
				return "invalid"
			}
		case conversation.PartFile:
			if p.File == nil || p.File.Blob.IsZero() {
				return "invalid"
			}
		case "":
			return "invalid"
		default: // the size is all that matters of the rest
		}
	}
	if size > maxText {
		return "too_large"
	}
	return ""
}

// take routes an arrival, behind those that wait.
func (th *thread) take(a arrival) {
	th.mu.Lock()
	th.arrived++
	a.n = th.arrived
	if th.open != nil && len(th.waiting) == 0 && !th.resolving && !th.returning {
		th.pass(th.open, a) // under th.mu: keeps the order of calls
	} else {
		th.waiting = append(th.waiting, a)
		th.start()
	}
	th.mu.Unlock()
}

// start needs th.mu.
func (th *thread) start() {
	if th.resolving || th.returning {
		return
	}
	th.resolving = true
	if !th.r.spawn(th.drain) {
		th.resolving = false
		waiting := th.waiting
		th.waiting = nil
		for _, a := range waiting {
			a.done(pluginhost.Ack{Status: pluginhost.Retry, Code: "stopping"})
		}
	}
}

// drain routes what waits once the thread's conversation is known.
func (th *thread) drain() {
	for {
		_, err := th.resolve(th.r.ctx)
		th.mu.Lock()
		if len(th.waiting) == 0 || th.returning {
			th.resolving = false // answered starts again
			th.mu.Unlock()
			return
		}
		a := th.waiting[0]
		th.waiting = th.waiting[1:]
		if err != nil {
			th.mu.Unlock()
			th.r.logger.Warn("thread cannot be resolved", "channel", a.in.Plugin, "err", err)
			a.done(pluginhost.Ack{Status: pluginhost.Retry, Code: "unavailable"})
			continue
		}
		if th.open != nil {
			th.pass(th.open, a)
			th.mu.Unlock()
			continue
		}
		th.mu.Unlock()
		th.begin(a)
	}
}

// maxAttempts is how often an arrival is routed anew.
const maxAttempts = 3

// answered ends an arrival's stay in a conversation, or routes it anew when
// that one turned out to be over or another node's: at its place, so that
// what came later waits behind it. th.mu must not be held, but for ErrStopped.
func (th *thread) answered(l *live, a arrival, o outcome, err error) {
	if errors.Is(err, ErrStopped) {
		a.done(th.r.ack(l.id, o, err))
		return
	}
	back := elsewhere(err)
	th.mu.Lock()
	th.out--
	if back {
		if th.open == l {
			th.setOpen(nil)
		}
		if a.attempts++; a.attempts <= maxAttempts {
			at, _ := slices.BinarySearchFunc(th.waiting, a.n, func(w arrival, n uint64) int { return cmp.Compare(w.n, n) })
			th.waiting = slices.Insert(th.waiting, at, a)
		}
	}
	if th.out == 0 {
		th.returning = false
	}
	if len(th.waiting) > 0 {
		th.start()
	}
	th.mu.Unlock()
	switch {
	case !back:
		a.done(th.r.ack(l.id, o, err))
	case a.attempts > maxAttempts:
		a.done(pluginhost.Ack{Status: pluginhost.Retry, Code: "conflict"})
	}
}

// pass hands an arrival to an open conversation. It needs th.mu and does not block.
func (th *thread) pass(l *live, a arrival) {
	r, in := th.r, a.in
	t := &task{account: in.Account, external: r.externals(in)}
	switch {
	case in.Message != nil:
		cmd, err := r.customerPost(in, in.Message.Parts, in.Message.ClientID, in.Message.Name)
		if err != nil {
			a.done(pluginhost.Ack{Status: pluginhost.Refused, Code: "invalid"})
			return
		}
		cmd.ReplyTo = in.Message.ReplyTo
		t.cmd = cmd
		t.prepare = r.prepareCustomerPost
	case in.Receipt != nil:
		if in.Receipt.Conversation != l.id && !in.Receipt.Conversation.IsZero() {
			a.done(pluginhost.Ack{Status: pluginhost.Refused, Code: "ended", Conversation: in.Receipt.Conversation})
			return
		}
		t.cmd = conversation.Mark{By: conversation.Author{Kind: conversation.Customer}, Delivered: in.Receipt.Delivered, Read: in.Receipt.Read}
	case in.Action != nil:
		cmd, err := r.actionCommand(in)
		if err != nil {
			a.done(pluginhost.Ack{Status: pluginhost.Refused, Code: "invalid"})
			return
		}
		if cmd == nil { // a second start without a message: the open one is the answer
			a.done(pluginhost.Ack{Status: pluginhost.Duplicate, Conversation: l.id})
			return
		}
		t.cmd = cmd
		if _, ok := cmd.(*conversation.Post); ok {
			t.prepare = r.prepareCustomerPost
		}
	default:
		a.done(pluginhost.Ack{Status: pluginhost.Refused, Code: "invalid"})
		return
	}
	t.done = func(o outcome, err error) { th.answered(l, a, o, err) }
	th.out++
	l.submit(t)
}

// elsewhere reports whether a conversation turned out not to be the thread's
// open one: ended, or never begun because another node's was first.
func elsewhere(err error) bool {
	if err == nil {
		return false
	}
	var open *eventlog.ThreadOpenError
	return errors.Is(err, conversation.ErrEnded) || errors.Is(err, ErrNotFound) || errors.Is(err, conversation.ErrNotStarted) || errors.As(err, &open)
}

func (r *Router) ack(id conversation.ConversationID, o outcome, err error) pluginhost.Ack {
	switch {
	case err != nil && conversation.Code(err) != "":
		return pluginhost.Ack{Status: pluginhost.Refused, Code: conversation.Code(err), Conversation: id}
	case errors.Is(err, ErrInvalid):
		return pluginhost.Ack{Status: pluginhost.Refused, Code: "invalid", Conversation: id}
	case err != nil:
		if !errors.Is(err, ErrStopped) {
			r.logger.Warn("event not durable", "conversation_id", id, "err", err)
		}
		return pluginhost.Ack{Status: pluginhost.Retry, Code: "unavailable"}
	case o.duplicate:
		return pluginhost.Ack{Status: pluginhost.Duplicate, Conversation: o.conversation, Seq: o.first}
	}
	seq := o.message
	if seq == 0 {
		seq = o.first
	}
	return pluginhost.Ack{Status: pluginhost.Committed, Conversation: o.conversation, Seq: seq}
}

// externals are the ids under which the log must know the event.
func (r *Router) externals(in pluginhost.Inbound) []eventlog.Key {
	var keys []eventlog.Key
	if in.DedupeKey != "" {
		keys = append(keys, r.externalKey(in.Account, in.DedupeKey))
	}
	if in.Message != nil {
		for _, id := range in.Message.ProviderIDs {
			if id != "" && id != in.DedupeKey {
				keys = append(keys, r.externalKey(in.Account, id))
			}
		}
	}
	return keys
}

func (r *Router) externalKey(account conversation.AccountID, id string) eventlog.Key {
	return r.vault.MAC("external", account[:], []byte(id))
}

// customerPost makes the command for a customer's message.
func (r *Router) customerPost(in pluginhost.Inbound, parts []conversation.Part, clientID, name string) (*conversation.Post, error) {
	parts = r.clean(parts)
	kinds, blobs := kindsOf(parts)
	body, err := messageBody(parts, name)
	return &conversation.Post{
		ID: conversation.NewID[conversation.MessageID](), Author: conversation.Author{Kind: conversation.Customer}, ClientID: clientID,
		Kinds: kinds, Blobs: blobs, ProviderAt: in.ProviderAt, ReceivedAt: in.ReceivedAt, Body: body,
	}, err
}

func messageBody(parts []conversation.Part, name string) (json.RawMessage, error) {
	if b := plainBody(parts, name); b != nil {
		return b, nil
	}
	b, err := json.Marshal(conversation.MessageBody{Parts: parts, Name: name})
	if err != nil {
		return nil, fmt.Errorf("router: encode message: %w", err)
	}
	return b, nil
}

// plainBody encodes by hand what nearly every message is, one text without
// anything to escape; nil for all others. It equals encoding/json's.
func plainBody(parts []conversation.Part, name string) json.RawMessage {
	if len(parts) != 1 || !plain(parts[0].Text) || !plain(name) {
		return nil
	}
	p := parts[0]
	p.Text = ""
	if p != (conversation.Part{Kind: conversation.PartText}) || parts[0].Text == "" {
		return nil
	}
	b := make([]byte, 0, len(parts[0].Text)+len(name)+64)
	b = append(append(b, `{"parts":[{"kind":"text","text":"`...), parts[0].Text...)
	b = append(b, `"}]`...)
	if name != "" {
		b = append(append(append(b, `,"name":"`...), name...), '"')
	}
	return append(b, '}')
}

func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

// prepareCustomerPost fills in what depends on the state: the endpoint, what
// is known of attachments, and whether the owner of a parked exchange is there.
func (r *Router) prepareCustomerPost(t *task, s *conversation.State) error {
	post, ok := t.cmd.(*conversation.Post)
	if !ok {
		return nil
	}
	post.Endpoint, post.OwnerAway, post.Request = 0, false, conversation.RequestID{} // of an earlier attempt
	for i, e := range s.Endpoints {
		if e.Account == t.account {
			post.Endpoint = i
			break
		}
	}
	if s.Parking != nil {
		post.OwnerAway = !r.agentLoggedIn(s.Parking.Owner)
		post.Request = conversation.NewID[conversation.RequestID]()
	}
	return r.claimPost(post, s.ID, t.account)
}

// prepareStart does the same for a first message.
func (r *Router) prepareStart(t *task, s *conversation.State) error {
	start := t.cmd.(conversation.Start)
	if start.First == nil || len(start.First.Blobs) == 0 {
		return nil
	}
	first := *start.First
	if err := r.claimPost(&first, s.ID, t.account); err != nil {
		return err
	}
	start.First = &first
	t.cmd = start
	return nil
}

// claimPost puts what is known of the attachments into the message.
func (r *Router) claimPost(p *conversation.Post, conv conversation.ConversationID, account conversation.AccountID) error {
	if len(p.Blobs) == 0 {
		return nil
	}
	var body conversation.MessageBody
	if err := json.Unmarshal(p.Body, &body); err != nil {
		return fmt.Errorf("router: decode message: %w", err)
	}
	parts, err := r.claim(r.ctx, conv, account, body.Parts)
	if err != nil {
		return err
	}
	p.Body, err = messageBody(parts, body.Name)
	return err
}

func kindsOf(parts []conversation.Part) (kinds []conversation.PartKind, blobs []conversation.BlobID) {
	kinds = make([]conversation.PartKind, len(parts))
	for i := range parts {
		kinds[i] = parts[i].Kind
		if parts[i].File != nil {
			blobs = append(blobs, parts[i].File.Blob)
		}
	}
	return kinds, blobs
}

// clean lets only allow-listed mark-up through (D6).
func (r *Router) clean(parts []conversation.Part) []conversation.Part {
	for i := range parts {
		if parts[i].HTML != "" {
			parts = append([]conversation.Part(nil), parts...)
			for j := range parts {
				if parts[j].HTML != "" {
					parts[j].HTML = r.html.Sanitize(parts[j].HTML)
				}
			}
			return parts
		}
	}
	return parts
}

// actionCommand translates what a customer does in an open conversation.
func (r *Router) actionCommand(in pluginhost.Inbound) (conversation.Command, error) {
	a := in.Action
	switch {
	case a.Start != nil:
		if len(a.Start.Parts) == 0 {
			return nil, nil
		}
		return r.customerPost(in, a.Start.Parts, a.Start.ClientID, a.Start.Body.Name)
	case a.Page != nil:
		body, err := json.Marshal(a.Page)
		return conversation.Visit{Body: body}, err
	case a.End:
		return conversation.CustomerEnd{Cause: conversation.CauseCustomer}, nil
	case a.Left:
		return conversation.CustomerEnd{Cause: conversation.CauseCustomerLeft}, nil
	case a.Attributes != nil:
		body, err := json.Marshal(conversation.CustomerBody{Attributes: a.Attributes})
		return conversation.UpdateCustomer{Body: body}, err
	}
	return nil, fmt.Errorf("router: empty action")
}

// begin handles an arrival on a thread without an open conversation: it
// starts one where the channel and the service say so.
func (th *thread) begin(a arrival) {
	r, in := th.r, a.in
	var body conversation.StartedBody
	var parts []conversation.Part
	var clientID string
	// What was committed before its answer was lost is a repeat, whatever became
	// of its conversation; begun anew, it would take what follows it along.
	if th.repeated(a) {
		return
	}
	switch {
	case in.Action != nil && in.Action.Start != nil:
		body, parts, clientID = in.Action.Start.Body, in.Action.Start.Parts, in.Action.Start.ClientID
	case in.Message != nil:
		info, ok := r.pluginInfo(in.Plugin)
		if !ok || info.Capabilities.Connected {
			th.refuse(a, "ended") // a live channel asks first (request form)
			return
		}
		body.Address, body.Name = in.Message.Address, in.Message.Name
		parts, clientID = in.Message.Parts, in.Message.ClientID
	default:
		th.refuse(a, "ended")
		return
	}
	if body.Address == "" {
		body.Address = in.Thread
	}
	body.Thread = in.Thread
	cmd, err := r.startCommand(a.acc, th, in, body, parts, clientID)
	if err != nil {
		r.refuse(in, "no_service", a.done)
		return
	}
	key, err := r.vault.Assign()
	if err != nil {
		r.logger.Error("no data key for a new conversation", "err", err)
		a.done(pluginhost.Ack{Status: pluginhost.Retry, Code: "unavailable"})
		return
	}
	l := r.live(cmd.ID)
	t := &task{cmd: cmd, prepare: r.prepareStart, key: key, account: in.Account, external: r.externals(in), thread: th, done: func(o outcome, err error) {
		if err != nil || o.duplicate {
			r.drop(l)
			if !errors.Is(err, ErrStopped) {
				th.ended(l)
			}
		}
		th.answered(l, a, o, err)
	}}
	th.mu.Lock()
	defer th.mu.Unlock()
	if th.open != nil { // taken up from elsewhere meanwhile
		th.pass(th.open, a)
		return
	}
	l.submit(t) // before any reader asks for what is not there yet
	th.setOpen(l)
	th.out++
}

// repeated answers a repeat of something committed earlier as such.
func (th *thread) repeated(a arrival) bool {
	for _, k := range th.r.externals(a.in) {
		stream, seq, err := th.r.log.External(th.r.ctx, eventlog.StreamID(a.in.Account), k)
		if err == nil && stream != eventlog.StreamID(a.in.Account) { // else refused earlier, which may be different now
			a.done(pluginhost.Ack{Status: pluginhost.Duplicate, Conversation: conversation.ConversationID(stream), Seq: seq})
			return true
		}
		if err != nil && !errors.Is(err, eventlog.ErrNotFound) {
			a.done(pluginhost.Ack{Status: pluginhost.Retry, Code: "unavailable"})
			return true
		}
	}
	return false
}

// refuse answers what no conversation takes.
func (th *thread) refuse(a arrival, code string) {
	if a.in.Message == nil { // a late page view or receipt: nothing worth a record
		a.done(pluginhost.Ack{Status: pluginhost.Refused, Code: code})
		return
	}
	th.r.refuse(a.in, code, a.done)
}

// startCommand opens a conversation for the account's target.
func (r *Router) startCommand(acc account, th *thread, in pluginhost.Inbound, body conversation.StartedBody, parts []conversation.Part, clientID string) (conversation.Start, error) {
	info, _ := r.pluginInfo(in.Plugin)
	cmd := conversation.Start{
		ID: conversation.NewID[conversation.ConversationID](), Kind: conversation.Inbound, Channel: in.Plugin,
		Endpoint:     conversation.Endpoint{Account: in.Account, Thread: th.hex},
		Capabilities: info.Capabilities, ProviderAt: in.ProviderAt, ReceivedAt: in.ReceivedAt,
	}
	cmd.Contact = r.contactOf(body.Address)
	page := body.Page
	body.Page = nil
	var err error
	if cmd.Body, err = json.Marshal(body); err != nil {
		return cmd, fmt.Errorf("router: encode start: %w", err)
	}
	if page != nil {
		if cmd.Page, err = json.Marshal(page); err != nil {
			return cmd, fmt.Errorf("router: encode page: %w", err)
		}
	}
	if !acc.service.IsZero() {
		svc, ok := r.service(acc.service)
		if !ok {
			return cmd, ErrNoService
		}
		cmd.Service, cmd.Rules, cmd.Request = acc.service, svc.rules, conversation.NewID[conversation.RequestID]()
		if cmd.AssignedBody, err = json.Marshal(conversation.AssignedBody{Name: svc.name}); err != nil {
			return cmd, fmt.Errorf("router: encode service: %w", err)
		}
	} else if !acc.user.IsZero() {
		cmd.Owner = acc.user
	} else {
		return cmd, ErrNoService
	}
	if len(parts) > 0 {
		post, err := r.customerPost(in, parts, clientID, body.Name)
		if err != nil {
			return cmd, err
		}
		cmd.First = post
	}
	return cmd, nil
}

// drop forgets a conversation that never came to be.
func (r *Router) drop(l *live) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lives[l.id] == l {
		delete(r.lives, l.id)
	}
}

// Signal passes typing or presence of a customer on (pluginhost.Core).
func (r *Router) Signal(s pluginhost.CustomerSignal) {
	r.threadsMu.RLock()
	th := r.threads[threadID{s.Account, s.Thread}]
	r.threadsMu.RUnlock()
	if th == nil {
		return
	}
	th.mu.Lock()
	l := th.open
	th.mu.Unlock()
	if l == nil {
		return
	}
	l.signalAll(Signal{Conversation: l.id, Kind: s.Kind, On: s.On, Who: conversation.Author{Kind: conversation.Customer}}, nil)
	if s.Kind == pluginhost.SignalTyping && s.On {
		l.submit(&task{cmd: conversation.Touch{}, done: func(outcome, error) {}})
	}
}
