package sandbox

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// run takes a message through its plan: it waits for the message's time, fetches its pictures, and
// reports its statuses.
func (s *Sandbox) run(sid string) {
	m, ok := s.message(sid)
	if !ok || m.SendAt != nil && !s.sleep(time.Until(*m.SendAt)) {
		return
	}
	if len(m.Media) > 0 && m.Media[0].SID == "" {
		got, code := s.fetchAll(m.Media)
		if s.ctx.Err() != nil {
			return
		}
		if code != 0 {
			s.take(sid, Step{Status: "failed", ErrorCode: code, ErrorMessage: errorText(code)}, len(m.Plan))
			return
		}
		s.record(&entry{Media: &mediaFact{SID: sid, Media: got}})
	}
	for more := true; more; {
		more = s.step(sid)
	}
}

// step takes the next step of the plan; false when there is none.
func (s *Sandbox) step(sid string) bool {
	m, ok := s.message(sid)
	if !ok || m.Deleted || m.Status == "canceled" || m.Done >= len(m.Plan) {
		return false
	}
	next := m.Plan[m.Done]
	if !s.sleep(time.Duration(next.AfterMS) * time.Millisecond) {
		return false
	}
	s.take(sid, next, m.Done+1)
	return s.ctx.Err() == nil
}

// take gives the message a status and calls its callback. The step counts as done when the callback
// has ended: after a crash the callback is made again, which is allowed.
func (s *Sandbox) take(sid string, one Step, done int) {
	s.record(&entry{Status: &statusFact{SID: sid, Step: one, Done: done - 1}})
	m, ok := s.message(sid)
	if !ok {
		return
	}
	if m.Callback != "" {
		acc := s.Account()
		d, _ := s.deliver(event{url: m.Callback, method: http.MethodPost, params: callbackFields(acc, m, one), token: newSID(""), key: acc.AuthToken})
		d.Status = one.Status
		s.record(&entry{Delivery: &deliveryFact{SID: sid, Of: d}})
		if d.State == stateInterrupted {
			return
		}
	}
	s.record(&entry{Status: &statusFact{SID: sid, Step: one, Done: done}})
}

// callbackFields are the parameters of a status callback (vendors' page
// "Outbound message status in status callbacks", 2026-07-21).
func callbackFields(acc Account, m Message, one Step) url.Values {
	v := url.Values{}
	for name, value := range map[string]string{
		"MessageSid": m.SID, "SmsSid": m.SID, "MessageStatus": one.Status, "SmsStatus": one.Status, "AccountSid": acc.SID,
		"From": m.From, "To": m.To, "ApiVersion": apiVersion,
	} {
		v.Set(name, value)
	}
	if m.ServiceSID != "" {
		v.Set("MessagingServiceSid", m.ServiceSID)
	}
	if one.ErrorCode != 0 {
		v.Set("ErrorCode", strconv.Itoa(one.ErrorCode))
		v.Set("ErrorMessage", one.ErrorMessage)
	}
	if one.Status == "delivered" || one.Status == "undelivered" {
		v.Set("RawDlrDoneDate", now().Format("0601021504"))
	}
	return v
}

// resume continues what an earlier process with the same ledger did not finish.
func (s *Sandbox) resume() {
	s.mu.Lock()
	var open []string
	for _, m := range s.state.order {
		if m.Direction == directionAPI && !m.Deleted && m.Status != "canceled" && m.Done < len(m.Plan) {
			open = append(open, m.SID)
		}
	}
	s.mu.Unlock()
	for _, sid := range open {
		s.start(func() { s.run(sid) })
	}
}
