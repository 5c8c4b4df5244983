package webchat

import (
	"github.com/parley-gateway/parley/internal/wsframe"
	"github.com/parley-gateway/parley/plugins/sdk"
)

// reader passes records to one socket, in the order of the log. It runs on a goroutine of the SDK,
// which exists only while records wait.
type reader struct {
	s    *socket
	v    *visitor
	h    *hub
	live bool // the client was told that it is up to date
}

func (r *reader) records(b sdk.RecordBatch) {
	switch b.End {
	case "":
	case "banned", "denied", "unknown_account":
		r.s.bye(b.End, closeProtocol, 60_000)
		return
	default:
		r.s.bye("ended", closeRestart, 1000)
		return
	}
	for i := range b.Records {
		rec := &b.Records[i]
		r.observe(rec)
		size := len(rec.Head) + len(rec.Body) + 256
		frame := appendEvent(make([]byte, 0, size), rec, r.keys(rec))
		start, ok := r.s.out.feed(packet{op: wsframe.Text, data: frame})
		if start {
			r.s.startWriter()
		}
		if !ok {
			return
		}
		r.h.count.events.Add(1)
	}
	if b.Live && !r.live {
		r.live = true
		if !r.s.resumed {
			r.s.tellPage(r.v)
		}
		r.s.send(liveFrame{T: "live", Conversation: string(r.v.opened())})
	}
}

// observe notes whether a conversation is open, as far as the records say. Any record of a
// conversation except its end means that it is open, because the end is the last record that
// customers see.
func (r *reader) observe(rec *sdk.Record) {
	if rec.Type == typeEnded {
		r.v.setEnded(rec.Conversation)
		return
	}
	if rec.Type == typeStarted && r.v.setOpen(rec.Conversation) {
		r.h.presence(r.v, true)
	}
}

// keys returns the keys by which the client can ask for the files that a message names.
func (r *reader) keys(rec *sdk.Record) []fileKey {
	blobs := blobsOf(rec)
	if len(blobs) == 0 {
		return nil
	}
	k := r.s.p.sites.Load().keys
	out := make([]fileKey, len(blobs))
	for i, b := range blobs {
		out[i] = fileKey{blob: b, key: k.fileKey(r.v.account, r.v.thread, b)}
	}
	return out
}
