package sandbox

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options describe a sandbox. The zero value is a sandbox in memory with made-up credentials and no
// numbers.
type Options struct {
	// Dir is the folder for ledger and media; it is made if missing. "" keeps everything in memory.
	// A folder must not be used by two sandboxes at once.
	Dir string
	// AccountSID and AuthToken are the credentials. "" uses those in the ledger, or makes new ones.
	AccountSID, AuthToken string
	// APIKeys are further credentials: key SID to secret.
	APIKeys map[string]string
	// Numbers are the account's numbers; each replaces the same number in the ledger.
	Numbers []Number
	// URL is the sandbox's own URL, for the media URLs that it gives out: "http://host:port". ""
	// uses the host of the first request.
	URL string
	// StepDelay is the pause before each status of a message that matches no Behaviour; 0 is none.
	StepDelay time.Duration
	// Transport sends webhooks and callbacks; nil is one of the sandbox's own, which connects to
	// this machine for every name below .localhost (RFC 6761 section 6.3).
	Transport http.RoundTripper
}

// Number is one of the account's phone numbers.
type Number struct {
	Number string `json:"number"` // E.164, short code or alphanumeric sender
	// WebhookURL gets inbound messages; its fragment may contain connection overrides
	// (#rc=..&rp=..). "": inbound messages are only recorded.
	WebhookURL  string `json:"webhook_url,omitempty"`
	Method      string `json:"method,omitempty"` // "POST" (also "") or "GET"
	FallbackURL string `json:"fallback_url,omitempty"`
	// ServiceSID is the messaging service to which the number belongs; "" is none.
	ServiceSID string `json:"messaging_service_sid,omitempty"`
	// ServiceCallback is that service's own status callback.
	ServiceCallback string `json:"service_callback,omitempty"`
	// AdvancedOptOut adds OptOutType to the webhooks of STOP, START and HELP.
	AdvancedOptOut bool `json:"advanced_opt_out,omitempty"`
	// NoMMS makes the number refuse media with 21621.
	NoMMS bool `json:"no_mms,omitempty"`
}

// method is the HTTP method of the number's webhook.
func (n Number) method() string { return cmp.Or(n.Method, http.MethodPost) }

// optOutScope is what a STOP blocks: the number's whole service if it belongs to one, else the
// number.
func (n Number) optOutScope() string { return cmp.Or(n.ServiceSID, n.Number) }

// check returns an error if an account cannot have such a number.
func (n Number) check() error {
	switch {
	case !validSender(n.Number):
		return invalid("number: must be E.164, a short code or an alphanumeric sender")
	case n.Method != "" && n.Method != http.MethodPost && n.Method != http.MethodGet:
		return invalid("method: must be POST or GET")
	}
	for _, one := range []struct{ name, url string }{
		{"webhook_url", n.WebhookURL}, {"fallback_url", n.FallbackURL}, {"service_callback", n.ServiceCallback},
	} {
		if one.url == "" {
			continue
		}
		if !absoluteURL(one.url) {
			return invalid("%s: must be an absolute http or https URL", one.name)
		}
		if _, _, err := parseOverrides(one.url); err != nil {
			return invalid("%s: %w", one.name, err)
		}
	}
	return nil
}

func absoluteURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}

// Sandbox is a double of Twilio. It is an http.Handler; all methods are safe for concurrent use.
// The owner must Close it.
type Sandbox struct {
	opts   Options
	mux    *http.ServeMux
	client *http.Client
	ledger *ledger
	files  mediaStore
	url    atomic.Pointer[string]

	ctx    context.Context //nolint:containedctx // the life of the sandbox
	cancel context.CancelFunc
	work   sync.WaitGroup // goroutines for plans and webhooks

	mu     sync.Mutex // guards what follows; held during apply
	state  state
	rules  rules
	subs   map[chan []byte]struct{}
	closed bool
}

// ErrClosed is returned by a sandbox that was closed.
var ErrClosed = errors.New("sandbox: closed")

// New opens a sandbox: it replays the ledger of Options.Dir and makes the status callbacks that are
// still due. It starts goroutines; Close ends them.
func New(o Options) (*Sandbox, error) {
	s := &Sandbox{opts: o, state: newState(), subs: map[chan []byte]struct{}{}}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	if o.URL != "" {
		s.SetURL(o.URL)
	}
	transport := o.Transport
	if transport == nil {
		transport = newTransport()
	}
	s.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.setUp(); err != nil {
		s.cancel()
		return nil, errors.Join(fmt.Errorf("sandbox: %w", err), s.ledger.close())
	}
	s.mux = s.routes()
	s.resume()
	return s, nil
}

func (s *Sandbox) open() (err error) {
	if s.opts.Dir == "" {
		s.files, s.ledger = &memoryMedia{held: map[string][]byte{}}, nil
		return nil
	}
	if s.files, err = newFolderMedia(s.opts.Dir); err != nil {
		return err
	}
	s.ledger, err = openLedger(s.opts.Dir, s.state.apply)
	if err == nil {
		s.state.interrupt()
	}
	return err
}

// setUp records those values of the options that are not in the ledger yet.
func (s *Sandbox) setUp() error {
	acc := s.state.Account
	sid, token := cmp.Or(s.opts.AccountSID, acc.SID, newSID("AC")), cmp.Or(s.opts.AuthToken, acc.AuthToken, newSID(""))
	if !validSID(sid, "AC") {
		return invalid("account sid: must be AC and 32 hexadecimal digits")
	}
	wait := s.record(&entry{Account: &Account{SID: sid, AuthToken: token, Created: orNow(acc.Created)}})
	for _, n := range s.opts.Numbers {
		if err := n.check(); err != nil {
			return err
		}
		wait = s.record(&entry{Number: &n})
	}
	return wait()
}

func newTransport() *http.Transport {
	d := &net.Dialer{}
	return &http.Transport{
		MaxIdleConns: 1024, MaxIdleConnsPerHost: 512, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(addr)
			if err == nil && strings.HasSuffix(host, ".localhost") {
				addr = net.JoinHostPort("127.0.0.1", port)
			}
			return d.DialContext(ctx, network, addr)
		},
	}
}

// SetURL sets the sandbox's own URL: "http://host:port".
func (s *Sandbox) SetURL(base string) {
	base = strings.TrimSuffix(base, "/")
	s.url.Store(&base)
}

// baseURL is the sandbox's own URL; "" while it is not known.
func (s *Sandbox) baseURL() string {
	if p := s.url.Load(); p != nil {
		return *p
	}
	return ""
}

// ServeHTTP answers Twilio's REST API, the control API and the phone page.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.url.Load() == nil && r.Host != "" {
		base := "http://" + r.Host
		s.url.CompareAndSwap(nil, &base)
	}
	s.mux.ServeHTTP(w, r)
}

// Account returns the credentials that are valid now.
func (s *Sandbox) Account() Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Account
}

// SetNumber adds or replaces one of the account's numbers. It returns when the change is on disk.
func (s *Sandbox) SetNumber(n Number) error {
	if err := n.check(); err != nil {
		return err
	}
	return s.record(&entry{Number: &n})()
}

// Close ends hanging requests, and webhooks and callbacks under way, and flushes the ledger.
// Webhooks without an answer are "interrupted" for the next New.
func (s *Sandbox) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for c := range s.subs {
		close(c)
	}
	clear(s.subs)
	s.mu.Unlock()
	s.cancel()
	s.work.Wait()
	s.client.CloseIdleConnections()
	return s.ledger.close()
}

// start runs f on a goroutine that Close waits for; false after Close.
func (s *Sandbox) start(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.work.Go(f)
	return true
}

// record applies an entry and queues it for the disk. The returned function waits until it is on
// disk.
func (s *Sandbox) record(e *entry) func() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recordLocked(e)
}

func (s *Sandbox) recordLocked(e *entry) func() error {
	e.At = now()
	s.state.apply(e)
	wait := s.ledger.append(e) // encodes the entry before its contents can change
	s.tell(e)
	return wait
}

// now is the time in UTC, with the precision that is stored.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func orNow(t time.Time) time.Time {
	if t.IsZero() {
		return now()
	}
	return t
}

// newSID makes an id of Twilio's form: two letters and 32 hexadecimal digits.
func newSID(prefix string) string {
	var b [16]byte
	_, _ = io.ReadFull(rand.Reader, b[:]) // never fails (crypto/rand)
	return prefix + hex.EncodeToString(b[:])
}

func validSID(s, prefix string) bool {
	digits, ok := strings.CutPrefix(s, prefix)
	if !ok || len(digits) != 32 {
		return false
	}
	_, err := hex.DecodeString(digits)
	return err == nil
}

// sleep waits; false when the sandbox closes first.
func (s *Sandbox) sleep(d time.Duration) bool {
	if d <= 0 {
		return s.ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}
