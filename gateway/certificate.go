package gateway

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is a key pair in files that may be replaced while the gateway runs.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	changed time.Time // modification time of certFile when pair was read
	looked  time.Time
}

func newCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	return c, c.read(time.Now())
}

func (c *certificate) read(now time.Time) error {
	c.looked = now
	info, err := os.Stat(c.certFile)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	if c.pair != nil && info.ModTime().Equal(c.changed) {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", c.certFile, err)
	}
	c.pair, c.changed = &pair, info.ModTime()
	return nil
}

// get implements tls.Config.GetCertificate. It looks at the files at most once a minute and keeps
// the old pair when the new one does not load.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) > time.Minute {
		if err := c.read(now); err != nil {
			c.log.Error("tls: keeping the old certificate", "err", err)
		}
	}
	return c.pair, nil
}

// config allows TLS 1.2 and later over HTTP/1.1 only: the gateway's limits are per connection, and
// each socket needs a connection of its own. A proxy in front may speak HTTP/2.
func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"http/1.1"}}
}
