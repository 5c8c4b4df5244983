package sandbox

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"
)

// Ways in which an attempt fails.
const (
	failedConnect = "connect" // refused, or no connection in time
	failedRead    = "read"    // connected, but no whole answer in time
	failedClosed  = "closed"  // the other side closed the connection early
)

// Ways to sign a webhook.
const (
	signRight = ""      // sign with the account's token
	signNone  = "none"  // send no signature at all
	signWrong = "wrong" // sign with another token
)

const maxAnswer = 64 << 10 // bytes that are read of an answer

var (
	errConnectTime = errors.New("connect timeout")
	errReadTime    = errors.New("read timeout")
)

// event is what a webhook is to be told.
type event struct {
	url    string // the webhook's URL with its fragment
	method string
	params url.Values
	token  string // value of the I-Twilio-Idempotency-Token header
	sign   string
	key    string // the auth token to sign with
}

// answer is the answer to the last attempt.
type answer struct {
	contentType string
	body        []byte
}

// deliver sends an event with the timeouts and retries of Twilio.
func (s *Sandbox) deliver(ev event) (Delivery, answer) {
	d := Delivery{Token: ev.token, State: stateFailed, Error: 11200}
	bare, o, err := parseOverrides(ev.url)
	if err != nil {
		d.Error = 11243
		return d, answer{}
	}
	ctx, cancel := context.WithTimeout(s.ctx, o.total)
	defer cancel()
	for {
		a, got := s.attempt(ctx, bare, ev, o)
		d.Attempts = append(d.Attempts, a)
		switch {
		case s.ctx.Err() != nil && a.Code == 0:
			d.State, d.Error = stateInterrupted, 0
			return d, answer{}
		case a.Code >= 200 && a.Code < 300:
			d.State, d.Error = stateAnswered, 0
			return d, got
		case len(d.Attempts) > o.retries || !o.again(a) || ctx.Err() != nil:
			if a.Failure == failedConnect {
				d.Error = 11205
			}
			return d, answer{}
		}
	}
}

// attempt is one request.
func (s *Sandbox) attempt(ctx context.Context, bare string, ev event, o overrides) (Attempt, answer) {
	began := time.Now()
	a := Attempt{At: now(), URL: bare}
	code, got, err := s.exchange(ctx, bare, ev, o)
	a.TookMS = time.Since(began).Milliseconds()
	a.Code = code
	var failed *connectError
	switch {
	case err == nil:
	case errors.As(err, &failed):
		a.Code, a.Failure = 0, failedConnect
	case errors.Is(err, errReadTime) || errors.Is(err, context.DeadlineExceeded):
		a.Code, a.Failure = 0, failedRead
	default:
		a.Code, a.Failure = 0, failedClosed
	}
	return a, got
}

// connectError is a failure to connect.
type connectError struct{ err error }

func (e *connectError) Error() string { return "no connection: " + e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }

func (s *Sandbox) exchange(ctx context.Context, bare string, ev event, o overrides) (int, answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(o.connect, func() { cancel(errConnectTime) })
	defer func() { timer.Stop() }()
	connected := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		timer.Stop()
		connected = true
		timer = time.AfterFunc(o.read, func() { cancel(errReadTime) })
	}})
	req, err := newWebhook(ctx, bare, ev)
	if err != nil {
		return 0, answer{}, &connectError{err}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		if !connected {
			err = &connectError{err}
		}
		return 0, answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return 0, answer{}, err
	}
	return resp.StatusCode, answer{resp.Header.Get("Content-Type"), body}, nil
}

// newWebhook builds the signed request.
func newWebhook(ctx context.Context, bare string, ev event) (*http.Request, error) {
	var body io.Reader
	signed := ev.params
	if ev.method == http.MethodGet {
		sep := "?"
		if strings.Contains(bare, "?") {
			sep = "&"
		}
		bare += sep + ev.params.Encode()
		signed = nil
	} else {
		body = strings.NewReader(ev.params.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, ev.method, bare, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	}
	req.Header.Set("User-Agent", "TwilioProxy/1.1")
	req.Header.Set("Accept", "*/*")
	req.Header.Set("I-Twilio-Idempotency-Token", ev.token)
	switch ev.sign {
	case signNone:
	case signWrong:
		req.Header.Set("X-Twilio-Signature", Sign(ev.key+"x", bare, signed))
	default:
		req.Header.Set("X-Twilio-Signature", Sign(ev.key, bare, signed))
	}
	return req, nil
}
