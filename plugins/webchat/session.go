package webchat

import (
	"net/http"
	"strings"

	"github.com/lxzan/gws"
)

// session lets gws keep the socket with its connection, in place of a map.
type session struct{ s *socket }

func newUpgrader(p *Plugin) *gws.Upgrader {
	return gws.NewUpgrader(p, &gws.ServerOption{
		ReadMaxPayloadSize: maxRead,
		ReadBufferSize:     readBuffer,
		ParallelGolimit:    1,
		CheckUtf8Enabled:   true,
		NewSession:         func() gws.SessionStorage { return new(session) },
		Logger:             quiet{},
	})
}

// Len implements gws.SessionStorage.
func (*session) Len() int { return 0 }

// Load implements gws.SessionStorage.
func (*session) Load(string) (any, bool) { return nil, false }

// Delete implements gws.SessionStorage.
func (*session) Delete(string) {}

// Store implements gws.SessionStorage.
func (*session) Store(string, any) {}

// Range implements gws.SessionStorage.
func (*session) Range(func(string, any) bool) {}

func socketOf(c *gws.Conn) *socket { return c.Session().(*session).s }

// quiet is the logger of gws, and drops what it logs: that is only about clients' errors.
type quiet struct{}

// Error implements gws.Logger.
func (quiet) Error(...any) {}

// headerHas reports whether a comma-separated header contains token, in upper or lower case.
func headerHas(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for one := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(one), token) {
				return true
			}
		}
	}
	return false
}
