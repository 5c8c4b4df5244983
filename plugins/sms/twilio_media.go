package sms

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// maxRedirects is how many redirects media may go through; Twilio uses one.
const maxRedirects = 3

// twilioHost is the host in Twilio's media URLs, whatever the base URL is.
const twilioHost = "api.twilio.com"

var errPrivate = errors.New("not a public address")

// fetch implements carrier. It asks the base URL's host with the account's credentials, and follows
// its redirects to storage without them. Storage must be on the public internet, unless the carrier
// itself is in a private network (a sandbox).
func (t *twilio) fetch(ctx context.Context, text string) (*media, error) {
	u := absolute(text)
	switch {
	case u == nil:
		return nil, &mediaError{reason: "host", final: true}
	case strings.EqualFold(u.Host, t.base.Host) && u.Scheme == t.base.Scheme:
	case strings.EqualFold(u.Host, twilioHost), inside(u.Hostname()) && inside(t.base.Hostname()):
		u = t.rewrite(u) // a sandbox is known by several host names
	default:
		return nil, &mediaError{reason: "host", final: true}
	}
	began := time.Now()
	defer func() { t.count.took("media", began) }()
	web, within := t.http, false
	for hop := 0; ; hop++ {
		resp, private, err := t.get(ctx, web, u, hop == 0)
		if err != nil {
			return nil, &mediaError{reason: reasonOf(err), final: errors.Is(err, errPrivate)}
		}
		if hop == 0 {
			within = private
		}
		if resp.StatusCode >= 300 && resp.StatusCode < 400 {
			_ = resp.Body.Close()
			next, err := resp.Location()
			if err != nil || hop == maxRedirects || absolute(next.String()) == nil {
				return nil, &mediaError{reason: "redirect", final: true}
			}
			if !within { // only a carrier in a private network may redirect into it, or to plain http
				if next.Scheme != "https" {
					return nil, &mediaError{reason: "redirect", final: true}
				}
				web = t.redirects
			}
			u = next
			continue
		}
		if resp.StatusCode == http.StatusOK {
			if resp.ContentLength > maxFile {
				_ = resp.Body.Close()
				return nil, &mediaError{reason: "too_large", final: true}
			}
			return &media{ReadCloser: resp.Body, mime: resp.Header.Get("Content-Type")}, nil
		}
		_ = resp.Body.Close()
		return nil, mediaRefusal(resp.StatusCode)
	}
}

// get makes one request, and reports whether the server's address is private.
func (t *twilio) get(ctx context.Context, web *http.Client, u *url.URL, login bool) (_ *http.Response, private bool, _ error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		at, err := netip.ParseAddrPort(info.Conn.RemoteAddr().String())
		private = err == nil && !public(at.Addr())
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, false, errors.New("not a request")
	}
	req.Header.Set("User-Agent", "parley-sms/"+Version)
	if login {
		req.SetBasicAuth(t.user, t.password)
	}
	resp, err := web.Do(req)
	if err != nil {
		return nil, false, lost(err, false)
	}
	return resp, private, nil
}

func reasonOf(err error) string {
	if errors.Is(err, errPrivate) {
		return "redirect"
	}
	return "unreachable"
}

// mediaRefusal says which answers are final. Refused credentials are not, because they may be
// corrected.
func mediaRefusal(status int) *mediaError {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return &mediaError{reason: "unauthorized"}
	case status == http.StatusNotFound || status == http.StatusGone:
		return &mediaError{reason: "gone", final: true}
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500:
		return &mediaError{reason: "unavailable"}
	default:
		return &mediaError{reason: "refused", final: true}
	}
}
