package drive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what the carrier signs with (Twilio, "Webhooks security")
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Carrier signs and delivers webhooks as Twilio does, over its own connection. It is made for load:
// each has one connection and one request buffer. Not safe for concurrent use.
type Carrier struct {
	addr, path, host string
	url, token       string
	fixed            []CarrierField // the fields that are the same in every text, sorted by name
	conn             net.Conn
	in               *bufio.Reader
	out              []byte
}

// CarrierField is a parameter of a webhook.
type CarrierField struct{ Name, Value string }

// CarrierOptions say which account's webhooks a Carrier delivers, and where to.
type CarrierOptions struct {
	WebhookURL string // http://host:port/path, as it was configured at the carrier
	Dial       string // host:port to connect to; "" = that of the URL
	AccountSID string
	AuthToken  string
	Number     string // the number that texts are sent to
}

// Signature is the X-Twilio-Signature of a request with these parameters; it sorts fields (Twilio,
// "Webhooks security").
func Signature(token, url string, fields []CarrierField) string {
	slices.SortFunc(fields, func(a, b CarrierField) int { return strings.Compare(a.Name, b.Name) })
	text := append(make([]byte, 0, 512), url...)
	for _, f := range fields {
		text = append(append(text, f.Name...), f.Value...)
	}
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write(text)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// NewCarrier makes a Carrier; it connects when it first delivers.
func NewCarrier(o CarrierOptions) (*Carrier, error) {
	u, err := url.Parse(o.WebhookURL)
	if err != nil {
		return nil, fmt.Errorf("drive: webhook URL: %w", err)
	}
	if u.Fragment = ""; u.Scheme != "http" || u.Port() == "" {
		return nil, fmt.Errorf("drive: webhook URL: want http with a port")
	}
	c := &Carrier{addr: o.Dial, host: u.Host, path: u.RequestURI(), url: u.String(), token: o.AuthToken}
	if c.addr == "" {
		c.addr = u.Host
		if strings.HasSuffix(u.Hostname(), ".localhost") { // not every resolver knows these names, which mean this machine (RFC 6761 6.3)
			c.addr = net.JoinHostPort("127.0.0.1", u.Port())
		}
	}
	c.fixed = []CarrierField{
		{"AccountSid", o.AccountSID}, {"ApiVersion", "2010-04-01"}, {"FromCity", "SPRINGFIELD"}, {"FromCountry", "US"},
		{"FromState", "IL"}, {"FromZip", "62701"}, {"NumMedia", "0"}, {"NumSegments", "1"}, {"SmsStatus", "received"},
		{"To", o.Number}, {"ToCity", ""}, {"ToCountry", "US"}, {"ToState", ""}, {"ToZip", ""},
	}
	return c, nil
}

// Text delivers one inbound text and returns the answer's status. An error means that no answer
// came; the next call makes a new connection.
func (c *Carrier) Text(ctx context.Context, sid, from, body string) (status int, err error) {
	return c.Deliver(ctx, c.TextFields(sid, from, body)...)
}

// TextFields are the parameters of one inbound text.
func (c *Carrier) TextFields(sid, from, body string) []CarrierField {
	return append(slices.Clone(c.fixed), CarrierField{"Body", body}, CarrierField{"From", from}, CarrierField{"MessageSid", sid},
		CarrierField{"SmsMessageSid", sid}, CarrierField{"SmsSid", sid})
}

// Deliver posts one signed webhook with the fields.
func (c *Carrier) Deliver(ctx context.Context, fields ...CarrierField) (status int, err error) {
	signature := Signature(c.token, c.url, fields)
	form := make([]byte, 0, 512)
	for i, f := range fields {
		if i > 0 {
			form = append(form, '&')
		}
		form = append(append(form, f.Name...), '=')
		form = append(form, url.QueryEscape(f.Value)...)
	}
	c.out = append(c.out[:0], "POST "...)
	c.out = append(append(c.out, c.path...), " HTTP/1.1\r\nHost: "...)
	c.out = append(append(c.out, c.host...), "\r\nUser-Agent: TwilioProxy/1.1\r\nContent-Type: application/x-www-form-urlencoded; charset=UTF-8\r\nAccept: */*\r\nX-Twilio-Signature: "...)
	c.out = append(append(c.out, signature...), "\r\nContent-Length: "...)
	c.out = strconv.AppendInt(c.out, int64(len(form)), 10)
	c.out = append(append(c.out, "\r\n\r\n"...), form...)
	status, err = c.exchange(ctx)
	if err != nil {
		c.Close()
	}
	return status, err
}

func (c *Carrier) exchange(ctx context.Context) (int, error) {
	if c.conn == nil {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", c.addr)
		if err != nil {
			return 0, fmt.Errorf("drive: carrier: %w", err)
		}
		c.conn, c.in = conn, bufio.NewReaderSize(conn, 4096)
	}
	if err := c.conn.SetDeadline(time.Now().Add(15 * time.Second)); err != nil { // a carrier gives up after this time, too
		return 0, fmt.Errorf("drive: carrier: %w", err)
	}
	if _, err := c.conn.Write(c.out); err != nil {
		return 0, fmt.Errorf("drive: carrier: %w", err)
	}
	return c.answer()
}

// answer reads a response: one with a Content-Length itself, a chunked one through net/http.
func (c *Carrier) answer() (int, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil || len(line) < 12 {
		return 0, fmt.Errorf("drive: carrier: no answer: %w", err)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, fmt.Errorf("drive: carrier: status: %w", err)
	}
	length := 0
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, fmt.Errorf("drive: carrier: header: %w", err)
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, fmt.Errorf("drive: carrier: length: %w", err)
			}
		} else if bytes.EqualFold(name, []byte("Transfer-Encoding")) {
			return 0, fmt.Errorf("drive: carrier: answer of unknown length")
		}
	}
	if status == http.StatusNoContent {
		length = 0
	}
	if _, err := io.CopyN(io.Discard, c.in, int64(length)); err != nil {
		return 0, fmt.Errorf("drive: carrier: body: %w", err)
	}
	return status, nil
}

// Close closes the connection. The Carrier may be used again, and connects then.
func (c *Carrier) Close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
