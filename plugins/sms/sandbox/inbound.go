package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"unicode/utf8"
)

// Text is a message that is sent from a handset.
type Text struct {
	From  string   `json:"from"` // E.164, short code, and so on; a new handset is added
	To    string   `json:"to"`   // one of the account's numbers
	Body  string   `json:"body"`
	Files []Upload `json:"files,omitempty"`
	// Copies is how many times the same webhook is sent at once; 0 means once.
	Copies int `json:"copies,omitempty"`
	// Signature is "" for the right signature, "none" or "wrong".
	Signature string `json:"signature,omitempty"`
	// Fields are parameters of the webhook that replace the usual ones or are added to them.
	Fields map[string]string `json:"fields,omitempty"`
}

// Upload is a picture or file of a handset.
type Upload struct {
	ContentType string `json:"content_type"`
	Data        []byte `json:"data"` // base64 in JSON
}

// ErrInvalid is returned for a request that cannot be carried out; the text says why.
var ErrInvalid = errors.New("invalid")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

const (
	maxFiles     = 10
	maxFileBytes = 5 << 20 // bytes of all files of a message together
	maxCopies    = 100
)

func (t Text) check() error {
	size := 0
	for _, f := range t.Files {
		size += len(f.Data)
		if f.ContentType == "" || len(f.Data) == 0 {
			return invalid("files: each needs content_type and data")
		}
	}
	switch {
	case !validSender(t.From):
		return invalid("from: must be a number in E.164 with its plus, or a short code")
	case t.Body == "" && len(t.Files) == 0:
		return invalid("body: must not be empty without a file")
	case !utf8.ValidString(t.Body):
		return invalid("body: must be UTF-8")
	case utf8.RuneCountInString(t.Body) > maxBody:
		return invalid("body: must be at most %d characters", maxBody)
	case len(t.Files) > maxFiles:
		return invalid("files: at most %d", maxFiles)
	case size > maxFileBytes:
		return invalid("files: at most %d bytes together", maxFileBytes)
	case t.Copies < 0 || t.Copies > maxCopies:
		return invalid("copies: must be 0 to %d", maxCopies)
	case t.Signature != signRight && t.Signature != signNone && t.Signature != signWrong:
		return invalid("signature: must be \"\", none or wrong")
	}
	return nil
}

// Send records a handset's text in the ledger, sends it to the number's webhook and returns when
// the webhook was answered or given up: the message with its deliveries, all of it on disk. The
// error is ErrInvalid, ErrClosed or one of the disk.
func (s *Sandbox) Send(t Text) (Message, error) {
	m, done, err := s.send(t)
	if err != nil {
		return Message{}, err
	}
	<-done
	if err := s.flush(); err != nil {
		return Message{}, err
	}
	got, _ := s.message(m)
	return got, nil
}

// Post is Send without waiting for the webhook; the message is on disk.
func (s *Sandbox) Post(t Text) (Message, error) {
	sid, _, err := s.send(t)
	if err != nil {
		return Message{}, err
	}
	got, _ := s.message(sid)
	return got, nil
}

func (s *Sandbox) send(t Text) (sid string, done chan struct{}, err error) {
	if err := t.check(); err != nil {
		return "", nil, err
	}
	m := &Message{
		SID: newSID("SM"), Direction: directionInbound, From: t.From, To: t.To, Body: t.Body, Segments: segments(t.Body),
		Status: "received", OptOut: optOut(t.Body), Fields: t.Fields, Created: now(), Updated: now(),
	}
	if len(t.Files) > 0 {
		m.SID = newSID("MM")
	}
	for _, f := range t.Files {
		one := Media{SID: newSID("ME"), ContentType: f.ContentType, Size: int64(len(f.Data))}
		if err := s.files.put(one.SID, f.Data); err != nil {
			return "", nil, err
		}
		m.Media = append(m.Media, one)
	}
	token := newSID("")
	for range max(1, t.Copies) {
		m.Deliveries = append(m.Deliveries, Delivery{Token: token, State: statePending})
	}
	wait, err := s.takeInbound(m)
	if err != nil {
		return "", nil, err
	}
	if err := wait(); err != nil { // on disk before anybody is told
		return "", nil, err
	}
	return m.SID, s.hook(m.SID, token, max(1, t.Copies), t.Signature), nil
}

// takeInbound records the message, and what its text means for the block list.
func (s *Sandbox) takeInbound(m *Message) (func() error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.state.numbers[m.To]
	if !ok {
		return nil, invalid("to: the account has no such number")
	}
	m.ServiceSID = n.ServiceSID
	wait := s.recordLocked(&entry{Message: m})
	if m.OptOut != "" {
		if m.OptOut != "HELP" {
			s.recordLocked(&entry{Consent: &consentFact{Scope: n.optOutScope(), Phone: m.From, Out: m.OptOut == "STOP"}})
		}
		wait = s.recordLocked(&entry{Message: newReply(n, m.From, optOutReplies[m.OptOut])})
	}
	return wait, nil
}

// newReply is a message without a REST request: an automatic answer, or a message in a webhook's
// answer. It is delivered at once.
func newReply(n Number, to, body string) *Message {
	at := now()
	return &Message{
		SID: newSID("SM"), ServiceSID: n.ServiceSID, Direction: directionReply, From: n.Number, To: to, Body: body,
		Segments: segments(body), Status: "delivered", Created: at, Updated: at, Sent: &at,
	}
}

// Replay sends the webhook of an inbound message again, the given number of times at once, with the
// same idempotency token, and waits for the answers.
func (s *Sandbox) Replay(sid string, copies int) (Message, error) {
	m, ok := s.message(sid)
	if !ok || m.Direction != directionInbound || copies < 1 || copies > maxCopies {
		return Message{}, invalid("needs the SID of an inbound message and 1 to %d copies", maxCopies)
	}
	var wait func() error
	for range copies {
		wait = s.record(&entry{Delivery: &deliveryFact{SID: sid, Of: Delivery{Token: m.Deliveries[0].Token, State: statePending}}})
	}
	if err := wait(); err != nil {
		return Message{}, err
	}
	<-s.hook(sid, m.Deliveries[0].Token, copies, signRight)
	m, _ = s.message(sid)
	return m, s.flush()
}

// hook starts the deliveries of an inbound message; the channel is closed when
// all have ended.
func (s *Sandbox) hook(sid, token string, copies int, sign string) chan struct{} {
	done := make(chan struct{})
	var left atomic.Int64
	left.Store(int64(copies))
	end := func() {
		if left.Add(-1) == 0 {
			close(done)
		}
	}
	for range copies {
		if !s.start(func() { defer end(); s.hookOnce(sid, token, sign) }) {
			end()
		}
	}
	return done
}

// hookOnce sends one webhook with its retries and, if they fail, to the fallback URL.
func (s *Sandbox) hookOnce(sid, token, sign string) {
	m, ok := s.message(sid)
	n, have := s.number(m.To)
	if !ok || !have || n.WebhookURL == "" {
		s.record(&entry{Delivery: &deliveryFact{SID: sid, Of: Delivery{Token: token, State: stateFailed}}})
		return
	}
	acc := s.Account()
	ev := event{url: n.WebhookURL, method: n.method(), params: s.inboundFields(acc, n, m), token: token, sign: sign, key: acc.AuthToken}
	d, got := s.deliver(ev)
	if d.State == stateFailed && n.FallbackURL != "" {
		ev.url, ev.method = n.FallbackURL, http.MethodPost
		ev.params.Set("ErrorCode", strconv.Itoa(d.Error))
		ev.params.Set("ErrorUrl", n.WebhookURL)
		second, answer := s.deliver(ev)
		second.Attempts = append(d.Attempts, second.Attempts...)
		d, got = second, answer
	}
	if d.State == stateAnswered {
		replies, code := parseTwiML(got)
		d.Error = code
		s.reply(n, m, replies)
	}
	s.record(&entry{Delivery: &deliveryFact{SID: sid, Of: d}})
}

// reply sends the messages that the webhook's answer contains.
func (s *Sandbox) reply(n Number, m Message, replies []twimlMessage) {
	for _, one := range replies {
		out := newReply(n, m.From, one.text())
		for _, source := range one.Media {
			out.Media = append(out.Media, Media{Source: source})
		}
		if got, code := s.fetchAll(out.Media); code == 0 {
			out.Media = got
		} else {
			out.Status, out.ErrorCode, out.ErrorMessage = "failed", code, errorText(code)
		}
		s.mu.Lock()
		if !s.state.blocked[consentFact{Scope: n.optOutScope(), Phone: m.From}] {
			s.recordLocked(&entry{Message: out})
		}
		s.mu.Unlock()
	}
}

// inboundFields are the parameters of an inbound message's webhook (vendors' page "Messaging
// webhook request", August 2026).
func (s *Sandbox) inboundFields(acc Account, n Number, m Message) url.Values {
	v := url.Values{}
	set := func(pairs ...string) {
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	set("MessageSid", m.SID, "SmsSid", m.SID, "SmsMessageSid", m.SID, "AccountSid", acc.SID, "From", m.From, "To", m.To,
		"Body", m.Body, "NumMedia", strconv.Itoa(len(m.Media)), "NumSegments", strconv.Itoa(m.Segments),
		"SmsStatus", "received", "ApiVersion", apiVersion)
	for side, number := range map[string]string{"From": m.From, "To": m.To} {
		set(side+"City", "", side+"State", "", side+"Zip", "", side+"Country", country(number))
	}
	if n.ServiceSID != "" {
		set("MessagingServiceSid", n.ServiceSID)
	}
	if n.AdvancedOptOut && m.OptOut != "" {
		set("OptOutType", m.OptOut)
	}
	for i, one := range m.Media {
		at := strconv.Itoa(i)
		set("MediaUrl"+at, s.baseURL()+mediaPath(acc.SID, m.SID, one.SID), "MediaContentType"+at, one.ContentType)
	}
	for name, value := range m.Fields {
		v.Set(name, value)
	}
	return v
}

// country knows North American numbers only, because all test numbers are.
func country(number string) string {
	if validPhone(number) && number[1] == '1' {
		return "US"
	}
	return ""
}

// message returns a copy of a message.
func (s *Sandbox) message(sid string) (Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.state.messages[sid]
	if m == nil {
		return Message{}, false
	}
	return m.copyOut(), true
}

func (s *Sandbox) number(number string) (Number, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.state.numbers[number]
	return n, ok
}
