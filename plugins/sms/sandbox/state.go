package sandbox

import (
	"slices"
	"strings"
	"time"
)

// Account is the only account of a sandbox.
type Account struct {
	SID       string    `json:"account_sid"`
	AuthToken string    `json:"auth_token"`
	Created   time.Time `json:"created"`
}

// Directions of messages, as Twilio names them.
const (
	directionInbound = "inbound"
	directionAPI     = "outbound-api"
	directionReply   = "outbound-reply"
)

// Message is a message that the sandbox took (outbound) or that a handset sent (inbound), with
// everything that happened to it.
type Message struct {
	SID          string     `json:"sid"`
	ServiceSID   string     `json:"messaging_service_sid,omitempty"`
	Direction    string     `json:"direction"` // inbound, outbound-api, outbound-reply
	From         string     `json:"from"`
	To           string     `json:"to"`
	Body         string     `json:"body"`
	Media        []Media    `json:"media,omitempty"`
	Segments     int        `json:"segments"`
	Status       string     `json:"status"`
	ErrorCode    int        `json:"error_code,omitempty"`
	ErrorMessage string     `json:"error_message,omitempty"`
	Created      time.Time  `json:"created"`
	Updated      time.Time  `json:"updated"`
	Sent         *time.Time `json:"sent,omitempty"`
	SendAt       *time.Time `json:"send_at,omitempty"`
	// Callback is the StatusCallback of an outbound message, with its fragment.
	Callback string `json:"status_callback,omitempty"`
	// Plan is the list of statuses that will be reported for an outbound message; the first Done of
	// them are past.
	Plan []Step `json:"plan,omitempty"`
	Done int    `json:"done,omitempty"`
	// OptOut is STOP, START or HELP if the text means one of these.
	OptOut string `json:"opt_out,omitempty"`
	// Fields are parameters of an inbound message's webhook that replace the usual ones.
	Fields map[string]string `json:"fields,omitempty"`
	// Deliveries are the webhooks of an inbound message, or the callbacks of an
	// outbound one, in the order in which they ended.
	Deliveries []Delivery `json:"deliveries,omitempty"`
	Deleted    bool       `json:"deleted,omitempty"`
}

// Media is a picture or file of a message.
type Media struct {
	SID         string `json:"sid"`
	ContentType string `json:"content_type"`
	Size        int64  `json:"size"`
	Source      string `json:"source,omitempty"` // MediaUrl of an outbound message
}

// Step is one status that a message takes.
type Step struct {
	Status       string `json:"status"`
	ErrorCode    int    `json:"error_code,omitempty"`
	ErrorMessage string `json:"error_message,omitempty"` // "" for one of Twilio's codes: its usual text
	AfterMS      int64  `json:"after_ms,omitempty"`      // pause before this status
}

// States of a delivery.
const (
	statePending     = "pending"
	stateAnswered    = "answered"    // answered with a 2xx
	stateFailed      = "failed"      // all attempts failed
	stateInterrupted = "interrupted" // the sandbox ended, so the answer is not known
)

// Delivery is one event that was sent to a webhook, with all its attempts.
type Delivery struct {
	Token    string    `json:"token"`            // value of the I-Twilio-Idempotency-Token header
	Status   string    `json:"status,omitempty"` // MessageStatus of a callback; "" for an inbound message
	State    string    `json:"state"`            // pending, answered, failed, interrupted
	Error    int       `json:"error,omitempty"`  // the code that Twilio would log: 11200, 11205, 12100 and so on
	Attempts []Attempt `json:"attempts,omitempty"`
}

// Attempt is one request of a delivery.
type Attempt struct {
	At      time.Time `json:"at"`
	URL     string    `json:"url"`
	Code    int       `json:"code,omitempty"`    // HTTP status; 0 = no answer
	Failure string    `json:"failure,omitempty"` // connect, read or closed, if there was no whole answer
	TookMS  int64     `json:"took_ms"`
}

// entry is one line of the ledger: a time and one fact.
type entry struct {
	At       time.Time     `json:"at"`
	Account  *Account      `json:"account,omitempty"`
	Number   *Number       `json:"number,omitempty"`
	Gone     string        `json:"gone,omitempty"` // a number that was removed
	Phone    string        `json:"phone,omitempty"`
	Message  *Message      `json:"message,omitempty"`
	Status   *statusFact   `json:"status,omitempty"`
	Delivery *deliveryFact `json:"delivery,omitempty"`
	Media    *mediaFact    `json:"media,omitempty"`
	Consent  *consentFact  `json:"consent,omitempty"`
	Redact   string        `json:"redact,omitempty"` // SID of a message that was redacted
	Delete   string        `json:"delete,omitempty"` // SID of a message that was deleted
	Erase    string        `json:"erase,omitempty"`  // SID of a file that was deleted
	Reset    bool          `json:"reset,omitempty"`
}

type statusFact struct {
	SID  string `json:"sid"`
	Step Step   `json:"step"`
	Done int    `json:"done"`
}

type deliveryFact struct {
	SID string   `json:"sid"`
	Of  Delivery `json:"of"`
}

// mediaFact records which pictures of an outbound message were fetched.
type mediaFact struct {
	SID   string  `json:"sid"`
	Media []Media `json:"media"`
}

// consentFact records that a handset wants no more messages from a number or messaging service, or
// wants them again.
type consentFact struct {
	Scope string `json:"scope"`
	Phone string `json:"phone"`
	Out   bool   `json:"out"`
}

// state is what the ledger's entries add up to.
type state struct {
	Account  Account
	numbers  map[string]Number
	messages map[string]*Message
	order    []*Message
	media    map[string]mediaRef
	blocked  map[consentFact]bool // keyed with Out false
	phones   []string             // handsets in the order in which they appeared
	threads  map[string][]*Message
}

type mediaRef struct {
	Media
	message string
}

func newState() state {
	return state{
		numbers: map[string]Number{}, messages: map[string]*Message{}, media: map[string]mediaRef{},
		blocked: map[consentFact]bool{}, threads: map[string][]*Message{},
	}
}

// apply is the only function that changes state, both live and on replay. Facts about messages that
// do not exist have no effect.
func (s *state) apply(e *entry) {
	switch {
	case e.Account != nil:
		s.Account = *e.Account
	case e.Number != nil:
		s.numbers[e.Number.Number] = *e.Number
	case e.Gone != "":
		delete(s.numbers, e.Gone)
	case e.Phone != "":
		s.addPhone(e.Phone)
	case e.Message != nil:
		s.addMessage(e.Message)
	case e.Status != nil:
		s.applyStatus(e)
	case e.Delivery != nil:
		s.applyDelivery(e)
	case e.Media != nil:
		if m := s.messages[e.Media.SID]; m != nil {
			m.Media = e.Media.Media
			s.addMedia(m)
		}
	case e.Consent != nil:
		key := consentFact{Scope: e.Consent.Scope, Phone: e.Consent.Phone}
		if e.Consent.Out {
			s.blocked[key] = true
		} else {
			delete(s.blocked, key)
		}
	case e.Redact != "":
		if m := s.messages[e.Redact]; m != nil {
			m.Body, m.Updated = "", e.At
		}
	case e.Delete != "":
		if m := s.messages[e.Delete]; m != nil {
			m.Deleted, m.Body, m.Updated = true, "", e.At
		}
	case e.Erase != "":
		s.eraseMedia(e.Erase)
	case e.Reset:
		acc, numbers := s.Account, s.numbers
		*s = newState()
		s.Account, s.numbers = acc, numbers
	}
}

func (s *state) addPhone(number string) {
	if _, ok := s.threads[number]; !ok {
		s.threads[number] = nil
		s.phones = append(s.phones, number)
	}
}

func (s *state) addMessage(m *Message) {
	if _, ok := s.messages[m.SID]; ok {
		return
	}
	s.messages[m.SID] = m
	s.order = append(s.order, m)
	phone := m.phone()
	s.addPhone(phone)
	s.threads[phone] = append(s.threads[phone], m)
	s.addMedia(m)
}

func (s *state) addMedia(m *Message) {
	for _, one := range m.Media {
		if one.SID != "" {
			s.media[one.SID] = mediaRef{one, m.SID}
		}
	}
}

func (s *state) eraseMedia(sid string) {
	ref, ok := s.media[sid]
	if !ok {
		return
	}
	delete(s.media, sid)
	if m := s.messages[ref.message]; m != nil {
		m.Media = slices.DeleteFunc(slices.Clone(m.Media), func(one Media) bool { return one.SID == sid })
	}
}

func (s *state) applyStatus(e *entry) {
	m := s.messages[e.Status.SID]
	if m == nil {
		return
	}
	m.Done = e.Status.Done
	step := e.Status.Step
	if rank(step.Status) <= rank(m.Status) {
		return // a duplicate or late status, which does not change the resource
	}
	m.Status, m.ErrorCode, m.ErrorMessage, m.Updated = step.Status, step.ErrorCode, step.ErrorMessage, e.At
	if m.Sent == nil && rank(m.Status) >= rank("sending") {
		at := e.At
		m.Sent = &at
		if m.Segments == 0 {
			m.Segments = segments(m.Body)
		}
	}
}

func (s *state) applyDelivery(e *entry) {
	m := s.messages[e.Delivery.SID]
	if m == nil {
		return
	}
	for i := range m.Deliveries {
		if m.Deliveries[i].Token == e.Delivery.Of.Token && m.Deliveries[i].State == statePending {
			m.Deliveries[i] = e.Delivery.Of
			return
		}
	}
	m.Deliveries = append(m.Deliveries, e.Delivery.Of)
}

// interrupt marks the webhooks that an earlier process left without an answer.
func (s *state) interrupt() {
	for _, m := range s.order {
		for i := range m.Deliveries {
			if m.Deliveries[i].State == statePending {
				m.Deliveries[i].State = stateInterrupted
			}
		}
	}
}

// senders returns the numbers of a messaging service, always in the same order.
func (s *state) senders(service string) []Number {
	var out []Number
	for _, n := range s.numbers {
		if n.ServiceSID == service {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b Number) int { return strings.Compare(a.Number, b.Number) })
	return out
}

// phone is the handset of a message.
func (m *Message) phone() string {
	if m.Direction == directionInbound {
		return m.From
	}
	return m.To
}

// number is the account's number in a message.
func (m *Message) number() string {
	if m.Direction == directionInbound {
		return m.To
	}
	return m.From
}

// copyOut returns a copy that does not change with the message.
func (m *Message) copyOut() Message {
	c := *m
	c.Deliveries = slices.Clone(m.Deliveries)
	return c
}

// rank orders statuses; a final status is never replaced.
func rank(status string) int {
	switch status {
	case "accepted", "scheduled":
		return 1
	case "queued":
		return 2
	case "sending":
		return 3
	case "sent":
		return 4
	case "delivered":
		return 5
	case "read":
		return 6
	case "failed", "undelivered", "canceled", "received":
		return 7
	}
	return 0
}

// final reports whether a message with this status can be deleted and redacted.
func final(status string) bool { return rank(status) >= 5 || status == "sent" }
