package sandbox

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

func (s *Sandbox) routes() *http.ServeMux {
	mux := http.NewServeMux()
	root := "/" + apiVersion + "/Accounts/{account}"
	for pattern, h := range map[string]http.HandlerFunc{
		"GET " + root:                                      s.auth(s.serveAccount), // {account} is "AC....json"
		"POST " + root + "/Messages.json":                  s.faulty(opCreate, s.auth(s.create)),
		"GET " + root + "/Messages.json":                   s.faulty(opList, s.auth(s.list)),
		"GET " + root + "/Messages/{sid}":                  s.faulty(opFetch, s.auth(s.fetchMessage)),
		"POST " + root + "/Messages/{sid}":                 s.auth(s.updateMessage),
		"DELETE " + root + "/Messages/{sid}":               s.auth(s.deleteMessage),
		"GET " + root + "/Messages/{sid}/Media.json":       s.auth(s.listMedia),
		"GET " + root + "/Messages/{sid}/Media/{media}":    s.faulty(opMedia, s.auth(s.serveMedia)),
		"DELETE " + root + "/Messages/{sid}/Media/{media}": s.auth(s.deleteMedia),
		"GET /_storage/{media}":                            s.serveStorage,
	} {
		mux.HandleFunc(pattern, h)
	}
	mux.HandleFunc("/"+apiVersion+"/", func(w http.ResponseWriter, r *http.Request) { writeError(w, errNotFound(r)) })
	s.controlRoutes(mux)
	s.pageRoutes(mux)
	return mux
}

// auth lets requests through that have the account's token or one of its keys, and name that
// account in their path.
func (s *Sandbox) auth(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		acc := s.Account()
		want, known := s.opts.APIKeys[user]
		if user == acc.SID {
			want, known = acc.AuthToken, true
		}
		if !known || subtle.ConstantTimeCompare([]byte(password), []byte(want)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="Twilio API"`)
			writeError(w, newErrorWith(http.StatusUnauthorized, 20003, errorText(20003)))
			return
		}
		if strings.TrimSuffix(r.PathValue("account"), ".json") != acc.SID {
			writeError(w, errNotFound(r))
			return
		}
		next(w, r)
	}
}

func (s *Sandbox) serveAccount(w http.ResponseWriter, r *http.Request) {
	acc := s.Account()
	if r.PathValue("account") != acc.SID+".json" {
		writeError(w, errNotFound(r))
		return
	}
	uri := "/" + apiVersion + "/Accounts/" + acc.SID
	writeJSON(w, http.StatusOK, map[string]any{
		"sid": acc.SID, "owner_account_sid": acc.SID, "friendly_name": "Sandbox", "status": "active", "type": "Full",
		"auth_token": acc.AuthToken, "date_created": date(acc.Created), "date_updated": date(acc.Created),
		"uri": uri + ".json", "subresource_uris": map[string]string{"messages": uri + "/Messages.json"},
	})
}

func date(t time.Time) string { return t.UTC().Format(time.RFC1123Z) }

// resource is a message as the REST API shows it.
type resource struct {
	SID          string            `json:"sid"`
	AccountSID   string            `json:"account_sid"`
	ServiceSID   *string           `json:"messaging_service_sid"`
	Status       string            `json:"status"`
	Direction    string            `json:"direction"`
	From         string            `json:"from"`
	To           string            `json:"to"`
	Body         string            `json:"body"`
	NumSegments  string            `json:"num_segments"`
	NumMedia     string            `json:"num_media"`
	ErrorCode    *int              `json:"error_code"`
	ErrorMessage *string           `json:"error_message"`
	Price        *string           `json:"price"`
	PriceUnit    string            `json:"price_unit"`
	APIVersion   string            `json:"api_version"`
	DateCreated  string            `json:"date_created"`
	DateUpdated  string            `json:"date_updated"`
	DateSent     *string           `json:"date_sent"`
	URI          string            `json:"uri"`
	Subresources map[string]string `json:"subresource_uris"`
}

func (s *Sandbox) render(m Message) resource {
	sid := s.Account().SID
	uri := "/" + apiVersion + "/Accounts/" + sid + "/Messages/" + m.SID
	r := resource{
		SID: m.SID, AccountSID: sid, Status: m.Status, Direction: m.Direction, From: m.From, To: m.To, Body: m.Body,
		NumSegments: strconv.Itoa(m.Segments), NumMedia: strconv.Itoa(len(m.Media)), PriceUnit: "USD", APIVersion: apiVersion,
		DateCreated: date(m.Created), DateUpdated: date(m.Updated), URI: uri + ".json", Subresources: map[string]string{"media": uri + "/Media.json"},
	}
	if m.ServiceSID != "" {
		r.ServiceSID = &m.ServiceSID
	}
	if m.ErrorCode != 0 {
		r.ErrorCode, r.ErrorMessage = &m.ErrorCode, &m.ErrorMessage
	}
	if m.Sent != nil {
		sent := date(*m.Sent)
		r.DateSent = &sent
	}
	return r
}

// find returns the message that the path names.
func (s *Sandbox) find(r *http.Request) (Message, *apiError) {
	sid, ok := strings.CutSuffix(r.PathValue("sid"), ".json")
	m, have := s.message(sid)
	if !ok || !have || m.Deleted {
		return m, errNotFound(r)
	}
	return m, nil
}

func (s *Sandbox) fetchMessage(w http.ResponseWriter, r *http.Request) {
	m, fault := s.find(r)
	if fault != nil {
		writeError(w, fault)
		return
	}
	writeJSON(w, http.StatusOK, s.render(m))
}

// updateMessage cancels a scheduled message (Status=canceled), or redacts a finished one (empty
// Body).
func (s *Sandbox) updateMessage(w http.ResponseWriter, r *http.Request) {
	m, fault := s.find(r)
	if fault == nil {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		fault = s.change(r, m)
	}
	if fault != nil {
		writeError(w, fault)
		return
	}
	m, _ = s.message(m.SID)
	writeJSON(w, http.StatusOK, s.render(m))
}

func (s *Sandbox) change(r *http.Request, m Message) *apiError {
	if err := r.ParseForm(); err != nil {
		return newErrorWith(http.StatusBadRequest, 20001, "the form cannot be read")
	}
	var e entry
	switch body, redact := r.PostForm["Body"]; {
	case r.PostForm.Get("Status") == "canceled":
		if m.Status != "scheduled" {
			return newErrorWith(http.StatusConflict, 20009, "Only a scheduled message can be canceled")
		}
		e.Status = &statusFact{SID: m.SID, Step: Step{Status: "canceled"}, Done: m.Done}
	case redact && body[0] == "":
		if !final(m.Status) {
			return newErrorWith(http.StatusConflict, 20009, errorText(20009))
		}
		e.Redact = m.SID
	default:
		return newErrorWith(http.StatusBadRequest, 20001, "Status must be canceled or Body empty")
	}
	if err := s.record(&e)(); err != nil {
		return errInternal(err)
	}
	return nil
}

func (s *Sandbox) deleteMessage(w http.ResponseWriter, r *http.Request) {
	m, fault := s.find(r)
	switch {
	case fault != nil:
	case !final(m.Status):
		fault = newErrorWith(http.StatusConflict, 20009, errorText(20009))
	default:
		if err := s.record(&entry{Delete: m.SID})(); err != nil {
			fault = errInternal(err)
		}
	}
	if fault != nil {
		writeError(w, fault)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Sandbox) listMedia(w http.ResponseWriter, r *http.Request) {
	m, ok := s.message(r.PathValue("sid"))
	if !ok || m.Deleted {
		writeError(w, errNotFound(r))
		return
	}
	acc := s.Account().SID
	list := []map[string]any{}
	for _, one := range m.Media {
		if one.SID != "" {
			list = append(list, map[string]any{
				"sid": one.SID, "account_sid": acc, "parent_sid": m.SID, "content_type": one.ContentType,
				"date_created": date(m.Created), "date_updated": date(m.Created), "uri": mediaPath(acc, m.SID, one.SID) + ".json",
			})
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"media_list": list, "page": 0, "page_size": 50, "start": 0, "end": max(0, len(list)-1)})
}

// page is one page of a list.
type page struct {
	Messages []resource `json:"messages"`
	Page     int        `json:"page"`
	PageSize int        `json:"page_size"`
	Start    int        `json:"start"`
	End      int        `json:"end"`
	URI      string     `json:"uri"`
	First    string     `json:"first_page_uri"`
	Next     *string    `json:"next_page_uri"`
	Previous *string    `json:"previous_page_uri"`
}

// list is GET Messages.json: newest first, filtered by To, From and DateSent (a day or a time;
// DateSent> and DateSent< are inclusive bounds). For a message that was not sent yet its creation
// time counts.
func (s *Sandbox) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	match, fault := newFilter(q)
	size, number := atoi(q.Get("PageSize"), 50, 1, 1000), atoi(q.Get("Page"), 0, 0, 1<<30)
	if fault != nil {
		writeError(w, fault)
		return
	}
	s.mu.Lock()
	var hits []Message
	skip, more := size*number, false
	for i := len(s.state.order) - 1; i >= 0; i-- {
		m := s.state.order[i]
		switch {
		case m.Deleted || !match(m):
		case skip > 0:
			skip--
		case len(hits) == size:
			more = true
			i = 0
		default:
			hits = append(hits, m.copyOut())
		}
	}
	s.mu.Unlock()
	out := page{Messages: []resource{}, Page: number, PageSize: size, Start: size * number, End: max(0, size*number+len(hits)-1), URI: r.URL.RequestURI()}
	for _, m := range hits {
		out.Messages = append(out.Messages, s.render(m))
	}
	at := func(n int) *string {
		q.Set("Page", strconv.Itoa(n))
		q.Set("PageSize", strconv.Itoa(size))
		uri := r.URL.Path + "?" + q.Encode()
		return &uri
	}
	out.First = *at(0)
	if more {
		out.Next = at(number + 1)
	}
	if number > 0 {
		out.Previous = at(number - 1)
	}
	writeJSON(w, http.StatusOK, out)
}

func atoi(text string, without, low, high int) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return without
	}
	return min(max(n, low), high)
}

func newFilter(q url.Values) (func(*Message) bool, *apiError) {
	to, from := q.Get("To"), q.Get("From")
	var after, before time.Time // after <= sent < before; zero = no bound
	for _, name := range []string{"DateSent", "DateSent>", "DateSent<"} {
		if !q.Has(name) {
			continue
		}
		t, day, err := parseDate(q.Get(name))
		if err != nil {
			return nil, newErrorWith(http.StatusBadRequest, 20001, name+" must be YYYY-MM-DD or a time in RFC 3339")
		}
		end := t.Add(time.Second)
		if day {
			end = t.AddDate(0, 0, 1)
		}
		if name != "DateSent<" {
			after = t
		}
		if name != "DateSent>" {
			before = end
		}
	}
	return func(m *Message) bool {
		at := m.Created
		if m.Sent != nil {
			at = *m.Sent
		}
		return (to == "" || m.To == to) && (from == "" || m.From == from) &&
			(after.IsZero() || !at.Before(after)) && (before.IsZero() || at.Before(before))
	}, nil
}

func parseDate(text string) (t time.Time, day bool, err error) {
	if t, err = time.Parse(time.DateOnly, text); err == nil {
		return t, true, nil
	}
	t, err = time.Parse(time.RFC3339, text)
	return t, false, err
}

// decode decodes a JSON body of at most most bytes and refuses unknown fields.
func decode(w http.ResponseWriter, r *http.Request, most int64, v any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
