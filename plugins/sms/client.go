package sms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	twilioclient "github.com/twilio/twilio-go/client"
	openapi "github.com/twilio/twilio-go/rest/api/v2010"
)

const (
	// requestTimeout is far below a command's deadline, which is hours away, and above what a slow
	// carrier needs.
	requestTimeout = 15 * time.Second
	dialTimeout    = 5 * time.Second
	maxConns       = 32      // per client: as many as an account may have commands under way
	maxAnswer      = 1 << 20 // bytes of a JSON answer
)

// clientKey identifies a client: accounts with the same key share one.
type clientKey struct{ base, accountSid, user, password string }

func keyOf(s *settings) clientKey {
	user, password := s.login()
	return clientKey{s.base.String(), s.AccountSid, user, password}
}

// client calls the carrier's REST interface. It does not follow redirects.
type client struct {
	base       *url.URL
	accountSid string
	user       string
	password   string
	http       *http.Client
	redirects  *http.Client // follows redirects to media storage; connects to public addresses only
	count      *counters
}

func newClient(key clientKey, s *settings, count *counters) *client {
	dialer := &net.Dialer{Timeout: dialTimeout}
	guarded := &net.Dialer{Timeout: dialTimeout, Control: publicOnly}
	return &client{
		base: s.base, accountSid: key.accountSid, user: key.user, password: key.password, count: count,
		http: httpClient(dialer), redirects: httpClient(guarded),
	}
}

func httpClient(d *net.Dialer) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: d.DialContext, TLSHandshakeTimeout: dialTimeout,
			MaxConnsPerHost: maxConns, MaxIdleConnsPerHost: maxConns, IdleConnTimeout: 90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (c *client) close() {
	c.http.CloseIdleConnections()
	c.redirects.CloseIdleConnections()
}

// rewrite replaces scheme and host of a carrier's URL by those of the configured base URL.
func (c *client) rewrite(u *url.URL) *url.URL {
	out := *u
	out.Scheme, out.Host, out.User = c.base.Scheme, c.base.Host, nil
	out.Path, out.RawPath = strings.TrimRight(c.base.Path, "/")+u.Path, ""
	return &out
}

// restError is the carrier's refusal of a request.
type restError struct {
	status  int // the HTTP status
	code    int // the carrier's own; 0 = none was given
	message string
	after   time.Duration // how long the carrier asked to wait; 0 = it did not ask
}

// Error names status and code. It leaves out the message, which may contain phone numbers.
func (e *restError) Error() string {
	return fmt.Sprintf("the carrier answered %d, code %d", e.status, e.code)
}

// lostError means that a request got no answer.
type lostError struct {
	written bool // the request was sent, so the carrier may have read it
	err     error
}

// Error leaves out the URL, which may contain phone numbers.
func (e *lostError) Error() string {
	if e.written {
		return "no answer: " + e.err.Error()
	}
	return "not sent: " + e.err.Error()
}

// Unwrap returns the cause.
func (e *lostError) Unwrap() error { return e.err }

// lost makes a lostError of a transport's error, without the URL that this contains.
func lost(err error, written bool) *lostError {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return &lostError{written: written, err: err}
}

// call makes one request through twilio-go, whose methods take no context: so each request has its
// own BaseClient, which knows the context.
type call struct {
	*client
	ctx     context.Context //nolint:containedctx // twilio-go's methods take none
	what    string          // label of the metric for the duration
	written atomic.Bool
	answer  []byte // body of a 2xx
}

func (c *client) call(ctx context.Context, what string) (*call, *openapi.ApiService) {
	k := &call{client: c, ctx: ctx, what: what}
	return k, openapi.NewApiServiceWithClient(k)
}

var _ twilioclient.BaseClient = (*call)(nil)

// AccountSid implements twilio-go's BaseClient.
func (k *call) AccountSid() string { return k.accountSid }

// SetTimeout implements BaseClient. It does nothing, since the context limits the time.
func (k *call) SetTimeout(time.Duration) {}

// SetOauth implements BaseClient; it is not used.
func (k *call) SetOauth(twilioclient.OAuth) {}

// OAuth implements BaseClient; it is not used.
func (k *call) OAuth() twilioclient.OAuth { return nil }

// SendRequest implements BaseClient. The error is a *lostError or a *restError; the answer's whole
// body is read before it is returned.
func (k *call) SendRequest(method, rawURL string, data url.Values, _ map[string]any, _ ...byte) (*http.Response, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, &lostError{err: errors.New("not a URL")}
	}
	u = k.rewrite(u)
	var body io.Reader
	if method == http.MethodGet || method == http.MethodDelete {
		u.RawQuery = data.Encode()
	} else {
		body = strings.NewReader(data.Encode())
	}
	// When the transport tries again over another connection, nothing is written yet.
	ctx := httptrace.WithClientTrace(k.ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { k.written.Store(false) },
		WroteHeaders: func() { k.written.Store(true) },
	})
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, &lostError{err: errors.New("not a request")}
	}
	req.SetBasicAuth(k.user, k.password)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "parley-sms/"+Version)
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	began := time.Now()
	defer func() { k.count.took(k.what, began) }()
	resp, err := k.http.Do(req)
	if err != nil {
		return nil, lost(err, k.written.Load())
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, refusal(resp, text) // the status is enough, even if the body could not be read to its end
	}
	if err != nil {
		return nil, lost(err, true)
	}
	k.answer = text
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp, nil
}

// errorBody is the carrier's error document, in its older and its newer form.
type errorBody struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func refusal(resp *http.Response, text []byte) *restError {
	e := &restError{status: resp.StatusCode}
	var b errorBody
	if json.Unmarshal(text, &b) == nil {
		e.code, e.message = b.Code, b.Message
	}
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
		e.after = min(time.Duration(n)*time.Second, time.Hour)
	}
	return e
}

// check fetches the account itself, to see whether the credentials are valid.
func (c *client) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, api := c.call(ctx, "check")
	_, err := api.FetchAccount(c.accountSid)
	return standing(err)
}

// standing is what an answer says about the account: nil, errUnauthorized or errUnreachable. The
// refusal of one message says nothing about the account.
func standing(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*restError](err); ok {
		switch {
		case e.status == http.StatusUnauthorized, e.code == codeAuth:
			return errUnauthorized
		case e.status < 500:
			return nil
		}
	}
	return errUnreachable
}
