package sandbox

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	apiVersion = "2010-04-01"
	maxForm    = 1 << 20
)

// create is POST Messages.json. It answers when the message is on disk.
func (s *Sandbox) create(w http.ResponseWriter, r *http.Request) {
	m, fault := s.newOutbound(r.PostForm)
	if fault != nil {
		writeError(w, fault)
		return
	}
	b := s.behaviour(m)
	m.Plan = b.Steps
	if len(m.Plan) == 0 {
		m.Plan = s.usualPlan(m)
	}
	for i := range m.Plan {
		if one := &m.Plan[i]; one.ErrorCode != 0 && one.ErrorMessage == "" {
			one.ErrorMessage = errorText(one.ErrorCode)
		}
	}
	answer := s.render(*m)
	early := b.Early
	if len(m.Media) > 0 || m.Status == "scheduled" {
		early = 0 // the message has work to do before its first status
	}
	if err := s.record(&entry{Message: m})(); err != nil {
		writeError(w, errInternal(err))
		return
	}
	for range early {
		if !s.step(m.SID) {
			break
		}
	}
	s.start(func() { s.run(m.SID) })
	writeJSON(w, http.StatusCreated, answer)
}

func (s *Sandbox) usualPlan(m *Message) []Step {
	pause := s.opts.StepDelay.Milliseconds()
	var plan []Step
	if m.ServiceSID != "" {
		plan = append(plan, Step{Status: "queued", AfterMS: pause})
	}
	return append(plan, Step{Status: "sending", AfterMS: pause}, Step{Status: "sent", AfterMS: pause}, Step{Status: "delivered", AfterMS: pause})
}

// newOutbound checks a form, in the order in which Twilio checks the parameters.
func (s *Sandbox) newOutbound(form url.Values) (*Message, *apiError) {
	to, from, service, body, media := form.Get("To"), form.Get("From"), form.Get("MessagingServiceSid"), form.Get("Body"), form["MediaUrl"]
	switch {
	case to == "":
		return nil, newError(21604)
	case from == "" && service == "":
		return nil, newError(21603)
	case body == "" && len(media) == 0:
		return nil, newError(21602)
	case !validPhone(to):
		return nil, newError(21211)
	case from != "" && !validSender(from):
		return nil, newError(21212)
	case utf8.RuneCountInString(body) > maxBody:
		return nil, newError(21617)
	case len(media) > maxFiles:
		return nil, newError(21623)
	}
	for _, one := range media {
		if !absoluteURL(one) {
			return nil, newError(21620)
		}
	}
	callback := form.Get("StatusCallback")
	if callback != "" && !validCallback(callback) {
		return nil, newError(21609)
	}
	if v := form.Get("ValidityPeriod"); v != "" {
		if n, err := strconv.Atoi(v); err != nil || n < 1 || n > 36000 {
			return nil, newError(21624)
		}
	}
	sender, fault := s.sender(to, from, service)
	if fault != nil {
		return nil, fault
	}
	if len(media) > 0 && sender.NoMMS {
		return nil, newError(21621)
	}
	at := now()
	m := &Message{
		SID: newSID("SM"), ServiceSID: service, Direction: directionAPI, From: sender.Number, To: to, Body: body, Status: "queued",
		Segments: segments(body), Created: at, Updated: at, Callback: callback,
	}
	if service != "" {
		m.Status, m.Segments = "accepted", 0
		if callback == "" {
			m.Callback = sender.ServiceCallback
		}
	}
	if len(media) > 0 {
		m.SID = newSID("MM")
	}
	for _, one := range media {
		m.Media = append(m.Media, Media{Source: one})
	}
	return m, schedule(m, form)
}

func schedule(m *Message, form url.Values) *apiError {
	if form.Get("ScheduleType") == "" {
		return nil
	}
	if m.ServiceSID == "" {
		return newError(35118)
	}
	at, err := time.Parse(time.RFC3339, form.Get("SendAt"))
	if form.Get("ScheduleType") != "fixed" || err != nil || at.Before(m.Created) {
		return newError(35111)
	}
	at = at.UTC()
	m.Status, m.SendAt = "scheduled", &at
	return nil
}

// sender returns the number that a message is sent from: the one that is named, or the service's
// first.
func (s *Sandbox) sender(to, from, service string) (Number, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n Number
	switch {
	case from == to:
		return n, newError(21266)
	case service != "":
		pool := s.state.senders(service)
		if len(pool) == 0 {
			return n, newError(21701)
		}
		n = pool[0]
		for _, one := range pool {
			if one.Number == from {
				n = one
			}
		}
		if from != "" && n.Number != from {
			return n, newError(21606)
		}
	default:
		var ok bool
		if n, ok = s.state.numbers[from]; !ok {
			return n, newError(21606)
		}
	}
	if s.state.blocked[consentFact{Scope: n.optOutScope(), Phone: to}] {
		return n, newError(21610)
	}
	return n, nil
}

func validCallback(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || !absoluteURL(raw) || strings.Contains(u.Hostname(), "_") {
		return false
	}
	_, _, err = parseOverrides(raw)
	return err == nil
}
