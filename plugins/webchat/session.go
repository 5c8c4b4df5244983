package webchat

import (
	"net/http"
	"strings"

	"github.com/lxzan/gws"
)

// session lets gws carry the socket instead of a map of its own.
type session struct{ s *socket }

func newUpgrader(p *Plugin) *gws.Upgrader {
	return gws.NewUpgrader(p, &gws.ServerOption{
		ReadMaxPayloadSize: maxFrame,
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

// quiet is gws's logger: what it would say is about clients' faults.
type quiet struct{}

// Error implements gws.Logger.
func (quiet) Error(...any) {}

// headerHas reports whether a comma-separated header holds token, whatever
// the case.
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
