package webchat

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
)

// counters are the plugin's own series. None has a label whose values a customer could choose.
type counters struct {
	sockets   atomic.Int64
	opened    atomic.Uint64
	frames    atomic.Uint64
	messages  atomic.Uint64
	refused   atomic.Uint64
	events    atomic.Uint64
	uploads   atomic.Uint64
	slow      atomic.Uint64
	flood     atomic.Uint64
	malformed atomic.Uint64
	panics    atomic.Uint64
	silent    atomic.Uint64
	forbidden atomic.Uint64

	visitorStarts   atomic.Uint64
	visitorMessages atomic.Uint64
	addressStarts   atomic.Uint64
	addressMessages atomic.Uint64
	siteStarts      atomic.Uint64
	unproven        atomic.Uint64
	visitorUploads  atomic.Uint64
	addressUploads  atomic.Uint64
	siteUploads     atomic.Uint64
}

// refusal is a kind of refusal, with the name that the log uses.
type refusal struct {
	name  string
	count *atomic.Uint64
}

func (c *counters) refusals() []refusal {
	return []refusal{
		{"flood", &c.flood}, {"protocol", &c.malformed}, {"slow", &c.slow}, {"origin", &c.forbidden},
		{"visitor_starts", &c.visitorStarts}, {"visitor_messages", &c.visitorMessages},
		{"address_starts", &c.addressStarts}, {"address_messages", &c.addressMessages},
		{"site_starts", &c.siteStarts}, {"unproven", &c.unproven},
		{"visitor_uploads", &c.visitorUploads}, {"address_uploads", &c.addressUploads}, {"site_uploads", &c.siteUploads},
	}
}

// complaints remembers which counts were logged.
type complaints struct{ told map[string]uint64 }

// tell logs how often each thing was refused since the last call, in one line for all of them. It
// is called once a minute, however many clients misbehave.
func (c *complaints) tell(log *slog.Logger, all []refusal) {
	var attrs []slog.Attr
	for _, r := range all {
		if n := r.count.Load(); n != c.told[r.name] {
			attrs = append(attrs, slog.Uint64(r.name, n-c.told[r.name]))
			c.told[r.name] = n
		}
	}
	if len(attrs) > 0 {
		log.LogAttrs(context.Background(), slog.LevelWarn, "customers were refused", attrs...)
	}
}

func (c *counters) write(w io.Writer, visitors int) error {
	for _, s := range []struct {
		name, kind, help string
		value            any
	}{
		{"sockets", "gauge", "Customer sockets that are open.", c.sockets.Load()},
		{"visitors", "gauge", "Visitors with a socket, or without one for a short time.", visitors},
		{"sockets_opened_total", "counter", "Customer sockets opened.", c.opened.Load()},
		{"frames_received_total", "counter", "Frames from customers.", c.frames.Load()},
		{"messages_accepted_total", "counter", "Messages and starts made durable.", c.messages.Load()},
		{"messages_refused_total", "counter", "Messages and starts refused, for any reason.", c.refused.Load()},
		{"events_sent_total", "counter", "Events handed to customers' sockets.", c.events.Load()},
		{"uploads_total", "counter", "Files stored for customers.", c.uploads.Load()},
		{"sockets_closed_slow_total", "counter", "Sockets closed because their client did not read.", c.slow.Load()},
		{"sockets_closed_flood_total", "counter", "Sockets closed because their client sent too much.", c.flood.Load()},
		{"sockets_closed_protocol_total", "counter", "Sockets closed because of a frame that the protocol forbids.", c.malformed.Load()},
		{"panics_total", "counter", "Panics that ended one customer's socket and nothing else.", c.panics.Load()},
		{"sockets_closed_silent_total", "counter", "Sockets closed because their client was gone.", c.silent.Load()},
		{"origins_refused_total", "counter", "Sockets refused because of their origin.", c.forbidden.Load()},
		{"visitor_starts_refused_total", "counter", "Starts beyond what one visitor may ask for.", c.visitorStarts.Load()},
		{"visitor_messages_refused_total", "counter", "Messages beyond what one visitor may send.", c.visitorMessages.Load()},
		{"address_starts_refused_total", "counter", "Starts beyond what one address may ask for.", c.addressStarts.Load()},
		{"address_messages_refused_total", "counter", "Messages beyond what one address may send.", c.addressMessages.Load()},
		{"site_starts_refused_total", "counter", "Starts beyond what one site takes.", c.siteStarts.Load()},
		{"starts_unproven_total", "counter", "Starts never passed on because their client answered no ping.", c.unproven.Load()},
		{"visitor_uploads_refused_total", "counter", "Uploads beyond what one visitor may store in an hour.", c.visitorUploads.Load()},
		{"address_uploads_refused_total", "counter", "Uploads beyond what one address may store in an hour.", c.addressUploads.Load()},
		{"site_uploads_refused_total", "counter", "Uploads beyond what one site stores in an hour.", c.siteUploads.Load()},
	} {
		if _, err := fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n%s %d\n", s.name, s.help, s.name, s.kind, s.name, s.value); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
	}
	return nil
}
