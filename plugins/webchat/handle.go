package webchat

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/internal/wsframe"
	"github.com/parley-gateway/parley/plugins/sdk"
)

// handle handles one frame. It runs on the socket's reading goroutine and never waits, except for
// the gateway's answer to grant and file frames, and for room in the event queue.
func (s *socket) handle(text []byte) {
	var f inFrame
	err := json.Unmarshal(text, &f)
	_, mistyped := errors.AsType[*json.UnmarshalTypeError](err) // all other fields have been read
	greeted := s.at.Load() != nil
	switch {
	case err != nil && !(mistyped && greeted), len(text) > maxFrame && !greeted:
		s.bye("protocol", closeProtocol, 0)
		return
	case len(text) > maxFrame:
		// A client that sends again what was not answered would send it for ever if the socket were closed.
		s.fail(&f, string(errTooLong))
		return
	case mistyped:
		s.fail(&f, string(errInvalid))
		return
	}
	if f.T == "hello" {
		s.handleHello(&f)
		return
	}
	if !s.proven && (f.T == "start" || len(s.held) > 0 && f.T != "ping") && s.at.Load() != nil {
		s.hold(text)
		return
	}
	if s.at.Load() == nil {
		s.bye("hello", closeProtocol, 0)
		return
	}
	switch f.T {
	case "ping":
		s.send(pongFrame{T: "pong", ID: cut(f.ID, 64)})
		return
	case "register":
		s.handleRegister()
		return
	case "page":
		s.page.Store(cleanPage(f.Page))
		if v := s.visitor(); v != nil {
			s.tellPage(v)
		}
		return
	}
	v := s.visitor()
	if v == nil {
		s.fail(&f, "no_visitor")
		return
	}
	switch f.T {
	case "start":
		s.handleStart(&f, v)
	case "message":
		s.handleMessage(&f, v)
	case "end":
		s.handleEnd(&f, v)
	case "tool":
		s.handleTool(&f, v)
	case "typing":
		s.handleTyping(f.On, v)
	case "receipt":
		s.handleReceipt(&f, v)
	case "grant":
		s.handleGrant(&f, v)
	case "file":
		s.handleFile(&f, v)
	default:
		s.fail(&f, "unknown_frame")
	}
}

// hold keeps a start, and the frames after it, until the client has answered the first ping: a
// client that only writes and never reads gets no conversation.
func (s *socket) hold(text []byte) {
	if len(s.held) == maxHeld || s.heldBytes+len(text) > maxHeldBytes {
		s.bye("flood", closeProtocol, 60_000)
		return
	}
	if len(s.held) == 0 {
		s.heldAt.Store(s.p.hub.Load().now())
	}
	s.heldBytes += len(text)
	s.held = append(s.held, bytes.Clone(text)) // the message's buffer is used again
}

// release handles the held frames, in order.
func (s *socket) release() {
	held := s.held
	s.held, s.heldBytes = nil, 0
	s.heldAt.Store(0)
	for _, text := range held {
		s.handle(text)
	}
}

// fail answers a frame that had no effect. If the frame has a client id the refusal is final for
// that message; otherwise the error is about the frame.
func (s *socket) fail(f *inFrame, code string) {
	if clientIDShape.MatchString(f.ClientID) {
		s.refuse(f.ClientID, code, false)
		return
	}
	s.send(errorFrame{T: "error", Code: code, ID: cut(f.ID, 64), Message: messageOf(code)})
}

// limited refuses a frame that exceeds a limit, for the moment, and counts the refusal.
func (s *socket) limited(clientID string, limit *atomic.Uint64) {
	limit.Add(1)
	s.refuse(clientID, "rate", true)
}

func (s *socket) refuse(clientID, code string, retry bool) {
	s.p.hub.Load().count.refused.Add(1)
	s.send(refusedFrame{T: "refused", ClientID: clientID, Code: code, Retry: retry, Message: messageOf(code)})
}

func (s *socket) handleHello(f *inFrame) {
	if s.at.Load() != nil || f.V != protocolVersion {
		s.bye("protocol", closeProtocol, 0)
		return
	}
	conf := s.p.sites.Load()
	at := conf.find(f.Site)
	if at == nil {
		s.bye("site", closeSite, 0)
		return
	}
	if !at.allows(s.origin) {
		s.p.hub.Load().count.forbidden.Add(1)
		s.bye("origin", closeOrigin, 0)
		return
	}
	h := s.p.hub.Load()
	if !at.isExempt(s.remote) {
		s.from = h.addresses.enter(at.account, s.remote)
	}
	_, _ = rand.Read(s.proof[:]) // never fails (crypto/rand)
	s.at.Store(at)
	s.hello.Store(true)
	// Sent before welcome: when a client has read welcome it has read this ping, too, and its
	// WebSocket library has answered it.
	s.put(packet{op: wsframe.Ping, data: s.proof[:]})
	s.page.Store(cleanPage(f.Page))
	s.locale = cleanLocale(f.Locale)
	thread, code := sdk.ThreadID(""), ""
	if f.Token != "" {
		address, err := conf.keys.address(f.Token)
		if err != nil {
			code = "token"
		}
		thread = sdk.ThreadID(address)
	}
	known := thread != ""
	s.send(welcomeFrame{T: "welcome", V: protocolVersion, Site: at.Site, Known: known, Time: stamp(time.Now()), Code: code})
	if !known {
		return
	}
	var after sdk.Cursor
	open := false
	if c := f.Cursor; c != nil && len(c.Conversation) <= 36 {
		after = sdk.Cursor{Conversation: sdk.ConversationID(c.Conversation), Seq: c.Seq}
		open = c.Open && c.Conversation != ""
	}
	s.resumed = open
	s.become(thread, after, open)
}

// handleRegister makes the visitor's token. It is made only on request, so that nothing is kept for
// customers who only look at the page (DESIGN.md 7).
func (s *socket) handleRegister() {
	if s.visitor() != nil || !s.tokens.take(s.p.hub.Load().now(), 1, tokenRate, tokenBurst) {
		s.send(errorFrame{T: "error", Code: "rate", Message: messageOf("rate")})
		return
	}
	token := newToken()
	address, err := s.p.sites.Load().keys.address(token)
	if err != nil {
		s.send(errorFrame{T: "error", Code: "internal", Message: messageOf("internal")})
		return
	}
	s.send(visitorFrame{T: "visitor", Token: token})
	s.become(sdk.ThreadID(address), sdk.Cursor{}, false)
}

// become assigns the socket to its visitor and starts to read the log for it.
func (s *socket) become(thread sdk.ThreadID, after sdk.Cursor, open bool) {
	h := s.p.hub.Load()
	at := s.at.Load()
	v := h.join(s, at, thread)
	s.vis.Store(v)
	if open && v.opened() == "" {
		v.setOpen(after.Conversation)
		h.presence(v, true)
	}
	r := &reader{s: s, v: v, h: h}
	s.sub = h.host.Subscribe(h.ctx, at.account, thread, after, r.records)
}

func (s *socket) handleStart(f *inFrame, v *visitor) {
	if !clientIDShape.MatchString(f.ClientID) {
		s.fail(f, string(errClientID))
		return
	}
	h, at := s.p.hub.Load(), s.at.Load()
	v.mu.Lock()
	allowed := v.starts.take(h.now(), 1, startRate, startBurst)
	v.mu.Unlock()
	switch {
	case !allowed:
		s.limited(f.ClientID, &h.count.visitorStarts)
		return
	case !s.from.allowStart(h.now(), at):
		s.limited(f.ClientID, &h.count.addressStarts)
		return
	}
	if f.Locale == "" {
		f.Locale = s.locale
	}
	start, err := at.readStart(f, string(v.thread), s.p.sites.Load().keys)
	if err != nil {
		s.fail(f, err.Error())
		return
	}
	if !h.allowSiteStart(at) { // checked last, so that a start that is refused otherwise does not use up the allowance of other customers
		s.limited(f.ClientID, &h.count.siteStarts)
		return
	}
	if p := cleanPage(f.Page); p != nil {
		s.page.Store(p)
	}
	if start.Page = s.page.Load(); start.Page != nil {
		v.mu.Lock()
		v.pageKey = h.pageKey(start.Page)
		v.mu.Unlock()
	}
	s.emit(v, f.ClientID, "s", start)
}

func (s *socket) handleMessage(f *inFrame, v *visitor) {
	if !clientIDShape.MatchString(f.ClientID) {
		s.fail(f, string(errClientID))
		return
	}
	if !s.mayWrite(f, v) {
		return
	}
	parts, err := readParts(f.Parts, s.p.sites.Load().keys, v.account, v.thread)
	if err == nil && len(parts) == 0 {
		err = errNoParts
	}
	if err == nil && len(f.ReplyTo) > 36 {
		err = errInvalid
	}
	if err != nil {
		s.fail(f, err.Error())
		return
	}
	s.emit(v, f.ClientID, "m", sdk.Message{
		ClientID: f.ClientID,
		From:     sdk.Address{Address: string(v.thread)},
		Parts:    parts,
		ReplyTo:  sdk.MessageID(f.ReplyTo),
	})
}

// mayWrite counts a message, or the use of a tool, against the limits. It refuses a frame that exceeds one.
func (s *socket) mayWrite(f *inFrame, v *visitor) bool {
	h, at := s.p.hub.Load(), s.at.Load()
	v.mu.Lock()
	allowed := v.messages.take(h.now(), 1, float32(at.MessagesPerSecond), float32(at.MessageBurst))
	v.typingAt = 0
	v.mu.Unlock()
	switch {
	case !allowed:
		s.limited(f.ClientID, &h.count.visitorMessages)
		return false
	case !s.from.allowMessage(h.now(), at):
		s.limited(f.ClientID, &h.count.addressMessages)
		return false
	}
	return true
}

func (s *socket) handleEnd(f *inFrame, v *visitor) {
	if f.ClientID != "" && !clientIDShape.MatchString(f.ClientID) {
		s.fail(f, string(errClientID))
		return
	}
	s.emit(v, f.ClientID, "e", sdk.End{})
}

// emit makes what the customer did durable and answers after the commit. The dedupe key makes a
// repeat with the same client id the same event, at any later time and on any node.
func (s *socket) emit(v *visitor, clientID, kind string, body sdk.EventBody) {
	h := s.p.hub.Load()
	key := string(v.thread) + ":" + kind + ":" + clientID
	if clientID == "" {
		key += uuid.NewString() // for an end without an id: a second end is refused, so nothing is doubled
	}
	ev := sdk.Event{Account: v.account, Thread: v.thread, DedupeKey: key, ReceivedTime: time.Now(), Body: body}
	start := kind == "s"
	if start {
		v.mu.Lock()
		v.starting++
		v.mu.Unlock()
	}
	done := func(ack sdk.Ack, err error) {
		if start {
			h.startAnswered(v, ack, err)
		}
		if err != nil {
			s.refuseFor(clientID, err)
			return
		}
		h.count.messages.Add(1)
		s.put(packet{op: wsframe.Text, data: encodeAccepted(clientID, ack.Conversation, ack.Seq)})
	}
	err := h.host.EmitAsync(ev, done)
	if errors.Is(err, sdk.ErrOverload) {
		// The gateway is behind, so this socket's reading goroutine waits, and thereby its client.
		err = s.emitLater(ev, done)
	}
	if err != nil {
		done(sdk.Ack{}, err)
	}
}

// emitLater waits for room in the queue, at most emitTimeout. An event that found no room was not
// taken and will not be committed.
func (s *socket) emitLater(ev sdk.Event, done func(sdk.Ack, error)) error {
	h := s.p.hub.Load()
	room := time.NewTicker(emitAgain)
	defer room.Stop()
	for end := h.now() + emitTimeout.Milliseconds(); ; {
		select {
		case <-room.C:
		case <-h.ctx.Done():
			return h.ctx.Err()
		}
		if err := h.host.EmitAsync(ev, done); !errors.Is(err, sdk.ErrOverload) || h.now() >= end {
			return err
		}
	}
}

// startAnswered handles the gateway's answer to a start. If the customer left before the answer,
// they count as gone from now on: the router, which takes a customer for present until it is told
// otherwise, is told so, and the time that began when the last socket was closed keeps running
// (SPEC Q3). If the customer was given up and came back before the answer, the conversation belongs
// to the present visitor.
func (h *hub) startAnswered(v *visitor, ack sdk.Ack, err error) {
	v.mu.Lock()
	v.starting--
	v.mu.Unlock()
	if err != nil {
		return
	}
	h.mu.Lock() // the visitor may have been forgotten before the answer came
	now := h.visitors[v.visitorKey]
	forgotten := now == nil
	if forgotten {
		now = v
	}
	away := now.started(ack.Conversation, ack.Duplicate)
	if away && forgotten && !h.draining {
		h.visitors[v.visitorKey] = v
		h.lonely[v] = struct{}{}
	}
	h.mu.Unlock()
	if away {
		h.presence(now, false)
	}
}

// refuseFor tells the client that the gateway did not take a message: finally, or with the advice
// to try again.
func (s *socket) refuseFor(clientID string, err error) {
	var refused *sdk.RefusedError
	switch {
	case errors.As(err, &refused): // a tool that did not answer may do so later, to the same act
		s.refuse(clientID, refused.Code, refused.Code == "unavailable" || refused.Code == "rate_limited")
	case errors.Is(err, sdk.ErrTooLarge):
		s.refuse(clientID, "too_large", false)
	default:
		s.refuse(clientID, "unavailable", true)
	}
}

func (s *socket) handleTyping(on bool, v *visitor) {
	h := s.p.hub.Load()
	now := h.now()
	v.mu.Lock()
	pass := v.open != "" && (on != (v.typingAt != 0) || on && now-v.typingAt >= typingEvery)
	switch {
	case pass && on:
		v.typingAt = now
	case !on:
		v.typingAt = 0
	}
	conversation := v.open
	v.mu.Unlock()
	if pass {
		h.host.Signal(sdk.Signal{Account: v.account, Thread: v.thread, Conversation: conversation, Kind: sdk.SignalTyping, On: on})
	}
}

func (s *socket) handleReceipt(f *inFrame, v *visitor) {
	if f.Conversation == "" || len(f.Conversation) > 36 {
		s.fail(f, string(errInvalid))
		return
	}
	r, ok := v.merge(sdk.Receipt{Conversation: sdk.ConversationID(f.Conversation), DeliveredSeq: f.Delivered, ReadSeq: f.Read})
	if ok {
		s.p.hub.Load().tellReceipt(v, r)
	}
}

// tellReceipt passes a receipt on to the gateway; receipts that come before it is durable are
// merged into the next one.
func (h *hub) tellReceipt(v *visitor, r sdk.Receipt) {
	err := h.host.EmitAsync(sdk.Event{Account: v.account, Thread: v.thread, ReceivedTime: time.Now(), Body: r},
		func(_ sdk.Ack, err error) {
			var refused *sdk.RefusedError
			final := err == nil || errors.As(err, &refused)
			if next, more := v.toldReceipt(r, final); more {
				h.tellReceipt(v, next)
			}
		})
	if err != nil {
		v.toldReceipt(r, false)
	}
}

// tellPage tells the gateway the customer's page while a conversation is open (SPEC B5), and only
// when it has changed.
func (s *socket) tellPage(v *visitor) {
	page := s.page.Load()
	if page == nil {
		return
	}
	h := s.p.hub.Load()
	key := h.pageKey(page)
	v.mu.Lock()
	tell := v.open != "" && v.pageKey != key && v.pages.take(h.now(), 1, pageRate, pageBurst)
	if tell {
		v.pageKey = key
	}
	v.mu.Unlock()
	if !tell {
		return
	}
	// If the page cannot be passed on now it is not tried again, since the next page will be.
	_ = h.host.EmitAsync(sdk.Event{Account: v.account, Thread: v.thread, ReceivedTime: time.Now(), Body: *page},
		func(sdk.Ack, error) {})
}

// pageKey is a hash that tells pages apart; 0 = no page.
func (h *hub) pageKey(p *sdk.Page) uint64 {
	return maphash.String(h.seed, p.URL+"\x00"+p.Title) | 1
}

// emitTimeout bounds how long a socket's reading goroutine waits for a gateway that is behind;
// afterwards the client can safely repeat with the same client id.
const (
	emitTimeout = 10 * time.Second
	emitAgain   = 100 * time.Millisecond
)

// callTimeout bounds the wait for the gateway's answer to grant and file frames.
const callTimeout = 5 * time.Second

// handleGrant asks the gateway for a grant to upload one file.
func (s *socket) handleGrant(f *inFrame, v *visitor) {
	if s.at.Load().MaxFileMB == 0 {
		s.fail(f, "no_files")
		return
	}
	if !s.grants.take(s.p.hub.Load().now(), 1, grantRate, grantBurst) {
		s.fail(f, "rate")
		return
	}
	h := s.p.hub.Load()
	u := uploader{h, s.at.Load(), s.remote, v.visitorKey}
	err := u.fitsBytes(1)
	if err == nil {
		err = u.takeFile()
	}
	if full, ok := errors.AsType[*quotaError](err); ok {
		full.count.Add(1)
		s.send(errorFrame{T: "error", Code: "quota", ID: cut(f.ID, 64), Message: messageOf("quota"), RetryMS: full.after.Milliseconds()})
		return
	}
	ctx, cancel := context.WithTimeout(h.ctx, callTimeout)
	defer cancel()
	g, err := h.host.MintGrant(ctx, v.account, v.thread, "upload")
	if err != nil {
		s.fail(f, callCode(err))
		return
	}
	s.send(grantFrame{T: "grant", ID: cut(f.ID, 64), Grant: g.Token.Reveal(), Expires: stamp(g.Expires), URL: "/p/" + ID + "/upload"})
}

// handleFile asks the gateway for a file's URL. The key came with the event that showed the file,
// so a visitor can ask only for files of its own thread.
func (s *socket) handleFile(f *inFrame, v *visitor) {
	if !equal(f.Key, s.p.sites.Load().keys.fileKey(v.account, v.thread, f.Blob)) {
		s.fail(f, string(errFileKey))
		return
	}
	if !s.grants.take(s.p.hub.Load().now(), 0.2, grantRate, grantBurst) {
		s.fail(f, "rate")
		return
	}
	h := s.p.hub.Load()
	ctx, cancel := context.WithTimeout(h.ctx, callTimeout)
	defer cancel()
	url, expires, err := h.host.Blobs().URL(ctx, sdk.BlobID(f.Blob), 0, f.Thumb)
	if err != nil {
		s.fail(f, callCode(err))
		return
	}
	s.send(fileFrame{T: "file", ID: cut(f.ID, 64), URL: url, Expires: stamp(expires)})
}

// callCode is the published code for a failed call to the gateway.
func callCode(err error) string {
	switch {
	case errors.Is(err, sdk.ErrNotFound):
		return "not_found"
	case errors.Is(err, sdk.ErrDenied):
		return "denied"
	default:
		return "unavailable"
	}
}
