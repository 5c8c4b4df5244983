package sms

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	openapi "github.com/twilio/twilio-go/rest/api/v2010"

	"github.com/parley-gateway/parley/plugins/sdk"
)

const (
	// maxAttempts bounds how many attempts are remembered: those of a busy day.
	maxAttempts = 4096
	// clockSkew is how far the carrier's clock may differ from this machine's.
	clockSkew = time.Minute
	// lookupPage is how many messages to a number are read: the latest ones.
	lookupPage = 50
)

// fingerprint is a hash of a text, so that the text itself need not be kept.
func fingerprint(text string) [sha256.Size]byte { return sha256.Sum256([]byte(text)) }

// attempt is an attempt to send a message for which Begin has returned.
type attempt struct {
	to          string
	body, smart [sha256.Size]byte // of the text as sent, and of the text after smart encoding
	media       int
	began       time.Time
	sid         string // the message's sid, once it is known
}

// memory keeps the latest attempts of this process: those whose outcome is open, so that they can
// be looked up, and the others, so that their messages are not mistaken for them.
type memory struct {
	since time.Time
	mu    sync.Mutex
	byID  map[sdk.CommandID]*attempt
	order []sdk.CommandID // a ring: the entry at next is replaced next
	next  int
}

func newMemory(now time.Time) *memory {
	return &memory{since: now, byID: map[sdk.CommandID]*attempt{}}
}

func (m *memory) begin(id sdk.CommandID, a *attempt, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a.began = now
	if _, again := m.byID[id]; again {
		m.byID[id] = a
		return
	}
	m.byID[id] = a
	if len(m.order) < maxAttempts {
		m.order = append(m.order, id)
		return
	}
	delete(m.byID, m.order[m.next])
	m.order[m.next] = id
	m.next = (m.next + 1) % maxAttempts
}

func (m *memory) settle(id sdk.CommandID, r *sdk.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a := m.byID[id]; a != nil && len(r.ProviderIDs) > 0 {
		a.sid = r.ProviderIDs[0]
	}
}

// open returns a copy of an attempt that may be looked up: this process made it, its message is not
// known, and no attempt of an earlier process or another command could be mistaken for it.
// Otherwise why says why not.
func (m *memory) open(id sdk.CommandID) (a attempt, taken map[string]bool, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := m.byID[id]
	if found == nil || found.began.Add(-clockSkew).Before(m.since) {
		return a, nil, "not_remembered"
	}
	taken = map[string]bool{}
	for other, b := range m.byID {
		switch {
		case other == id || b.to != found.to:
		case b.sid != "":
			taken[b.sid] = true
		case b.body == found.body && b.media == found.media:
			return a, nil, "ambiguous"
		}
	}
	return *found, taken, ""
}

// Lookup implements sdk.Lookuper. The carrier's lists show no reference that the plugin could set,
// so a message is recognised only by recipient, text and time. The command settles as sent when
// exactly one such message exists and no other attempt can have made it. It stays unknown when this
// process did not make the attempt (it does not have the text, and texts like "ok" are common),
// when two attempts are alike, and when there is no such message, since the carrier's lists may lag
// behind. A status callback carries the command's id and settles all of these cases.
func (p *Plugin) Lookup(ctx context.Context, cmd *sdk.LookupCommand) sdk.Result {
	const text = "the carrier's list does not tell"
	a := p.account(cmd.Account)
	if a == nil {
		return sdk.Unknown("unknown_account", "the account is not configured")
	}
	wanted, taken, why := p.memory.open(cmd.ID)
	if why != "" {
		return sdk.Unknown(why, text)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found, err := a.carrier.find(ctx, &wanted)
	if err != nil {
		return sdk.Unknown("lookup", errUnreachable.Error())
	}
	var sid string
	for _, c := range found {
		sum := fingerprint(c.body)
		if taken[c.id] || c.media != wanted.media || c.created.Before(wanted.began.Add(-clockSkew)) ||
			sum != wanted.body && sum != wanted.smart {
			continue
		}
		if sid != "" {
			return sdk.Unknown("ambiguous", text)
		}
		sid = c.id
	}
	if sid == "" {
		return sdk.Unknown("not_found", text)
	}
	r := sdk.Sent(sid)
	p.memory.settle(cmd.ID, &r)
	return r
}

// find implements carrier. It returns the latest messages to the number that were sent through the
// REST interface from this account's sender.
func (t *twilio) find(ctx context.Context, a *attempt) ([]candidate, error) {
	params := &openapi.ListMessageParams{}
	params.SetTo(a.to)
	params.SetPageSize(lookupPage)
	if t.settings.MessagingServiceSid == "" {
		params.SetFrom(t.settings.Number)
	}
	_, api := t.call(ctx, "lookup")
	page, err := api.PageMessage(params, "", "")
	if err != nil {
		return nil, err
	}
	var out []candidate
	for i := range page.Messages {
		m := &page.Messages[i]
		if str(m.Direction) != "outbound-api" || str(m.Sid) == "" ||
			t.settings.MessagingServiceSid != "" && str(m.MessagingServiceSid) != t.settings.MessagingServiceSid {
			continue
		}
		created, err := http.ParseTime(str(m.DateCreated))
		if err != nil {
			if created, err = time.Parse(time.RFC1123Z, str(m.DateCreated)); err != nil {
				return nil, errors.New("the carrier's list has a time that is not understood")
			}
		}
		n, _ := strconv.Atoi(str(m.NumMedia))
		out = append(out, candidate{id: str(m.Sid), body: str(m.Body), media: n, created: created})
	}
	return out, nil
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
