package webchat

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// protocolVersion is the version of the socket protocol (README.md).
const protocolVersion = 1

// Close codes of the socket. 1008, 1012 and 1013 have the meaning of RFC 6455's registry; the
// others tell a client that it would be refused again if it reconnected.
const (
	closeProtocol = 1008
	closeRestart  = 1012
	closeSlow     = 1013
	closeOrigin   = 4003
	closeSite     = 4004
)

// inFrame is any frame from a client: t names its kind, and README.md says which fields each kind
// has. Tags with omitempty mark the fields that a client may leave out.
type inFrame struct {
	T            string   `json:"t"`
	V            int      `json:"v"`
	Site         string   `json:"site"`
	Token        string   `json:"token,omitempty"`
	Cursor       *cursor  `json:"cursor,omitempty"`
	Page         *page    `json:"page,omitempty"`
	Locale       string   `json:"locale,omitempty"`
	ClientID     string   `json:"client_id"`
	Form         form     `json:"form,omitempty"`
	Parts        []inPart `json:"parts,omitempty"`
	ReplyTo      string   `json:"reply_to,omitempty"`
	On           bool     `json:"on"`
	Conversation string   `json:"conversation"`
	Delivered    uint64   `json:"delivered"`
	Read         uint64   `json:"read"`
	ID           string   `json:"id"`
	Blob         string   `json:"blob"`
	Key          string   `json:"key"`
	Thumb        bool     `json:"thumb,omitempty"`

	Session  string                     `json:"session,omitempty"`
	Account  string                     `json:"account,omitempty"`
	Action   string                     `json:"action,omitempty"`
	Values   map[string]json.RawMessage `json:"values,omitempty"`
	Revision uint64                     `json:"revision,omitempty"`
}

// cursor is the last event that a client has. Open says that the conversation had not ended at that
// event.
type cursor struct {
	Conversation string `json:"conversation"`
	Seq          uint64 `json:"seq"`
	Open         bool   `json:"open"`
}

// page is the page of the embedding site that the customer has open.
type page struct {
	URL   string `json:"url"`
	Title string `json:"title"`
}

// form holds the request form's answers by field name.
type form map[string]string

// inPart is a message part from a client. A file part carries the key that the client got in the
// answer to its upload.
type inPart struct {
	Kind   string  `json:"kind" enum:"text,file,answer"`
	Text   string  `json:"text,omitempty"`
	File   *file   `json:"file,omitempty"`
	Answer *answer `json:"answer,omitempty"`
}

type answer struct {
	Choice string `json:"choice"`
	Title  string `json:"title"`
}

// file is an attachment as clients see it.
type file struct {
	Blob   string `json:"blob"`
	Name   string `json:"name"`
	MIME   string `json:"mime"`
	Size   uint64 `json:"size"`
	Width  uint32 `json:"width,omitempty"`
	Height uint32 `json:"height,omitempty"`
	Key    string `json:"key,omitempty"`
}

// Frames to a client, except `event`, which appendEvent writes. README.md says what they mean.
type (
	welcomeFrame struct {
		T     string `json:"t"`
		V     int    `json:"v"`
		Site  string `json:"site"`
		Known bool   `json:"known"`
		Time  string `json:"time"`
		Code  string `json:"code,omitempty"`
	}
	visitorFrame struct {
		T     string `json:"t"`
		Token string `json:"token"`
	}
	liveFrame struct {
		T            string `json:"t"`
		Conversation string `json:"conversation,omitempty"`
	}
	acceptedFrame struct {
		T            string `json:"t"`
		ClientID     string `json:"client_id,omitempty"`
		Conversation string `json:"conversation"`
		Seq          uint64 `json:"seq"`
	}
	refusedFrame struct {
		T        string `json:"t"`
		ClientID string `json:"client_id,omitempty"`
		Code     string `json:"code"`
		Message  string `json:"message,omitempty"`
		Retry    bool   `json:"retry"`
	}
	signalFrame struct { // typing and presence
		T            string `json:"t"`
		Conversation string `json:"conversation,omitempty"`
		On           bool   `json:"on"`
		Name         string `json:"name,omitempty"`
	}
	queueFrame struct {
		T            string `json:"t"`
		Conversation string `json:"conversation,omitempty"`
		Position     uint32 `json:"position"`
		WaitMS       int64  `json:"wait_ms"`
	}
	grantFrame struct {
		T       string `json:"t"`
		ID      string `json:"id,omitempty"`
		Grant   string `json:"grant"`
		Expires string `json:"expires"`
		URL     string `json:"url"`
	}
	fileFrame struct {
		T       string `json:"t"`
		ID      string `json:"id,omitempty"`
		Expires string `json:"expires"`
		URL     string `json:"url"`
	}
	errorFrame struct {
		T       string `json:"t"`
		ID      string `json:"id,omitempty"`
		Code    string `json:"code"`
		Message string `json:"message,omitempty"`
		RetryMS int64  `json:"retry_ms,omitempty"`
	}
	pongFrame struct {
		T  string `json:"t"`
		ID string `json:"id,omitempty"`
	}
	byeFrame struct {
		T       string `json:"t"`
		Reason  string `json:"reason"`
		RetryMS int64  `json:"retry_ms,omitempty"`
	}
)

// encodeFrame encodes a frame. It cannot fail, since strings, numbers and booleans can always be
// encoded.
func encodeFrame(f any) []byte {
	text, err := json.Marshal(f)
	if err != nil {
		return []byte(`{"t":"error","code":"internal"}`)
	}
	return text
}

// stamp encodes a time as all frames do.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// encodeAccepted encodes an acceptedFrame without reflection, because every message takes this
// path. clientID matches clientIDShape, or is empty.
func encodeAccepted(clientID string, conversation sdk.ConversationID, seq uint64) []byte {
	b := make([]byte, 0, 160)
	b = append(b, `{"t":"accepted"`...)
	if clientID != "" {
		b = append(b, `,"client_id":"`...)
		b = append(b, clientID...)
		b = append(b, '"')
	}
	b = append(b, `,"conversation":"`...)
	b = append(b, conversation...)
	b = append(b, `","seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	return append(b, '}')
}

// appendEvent appends an event frame. Head and body are the stored bytes (DESIGN.md 1.6). fileKeys,
// if any, let the client ask for the files that the event names.
func appendEvent(b []byte, r *sdk.Record, fileKeys []fileKey) []byte {
	b = append(b, `{"t":"event","conversation":"`...)
	b = append(b, r.Conversation...) // a UUID, so it needs no escaping
	b = append(b, `","seq":`...)
	b = strconv.AppendUint(b, r.Seq, 10)
	b = append(b, `,"prev":`...)
	b = strconv.AppendUint(b, r.Prev, 10)
	b = append(b, `,"at":"`...)
	b = r.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","type":"`...)
	b = append(b, r.Type...) // name/version from a published list, so it needs no escaping
	b = append(b, `","head":`...)
	b = appendRaw(b, r.Head)
	if len(r.Body) > 0 {
		b = append(b, `,"body":`...)
		b = append(b, r.Body...)
	}
	for i, k := range fileKeys {
		if i == 0 {
			b = append(b, `,"file_keys":{`...)
		} else {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, k.blob)
		b = append(b, ':')
		b = strconv.AppendQuote(b, k.key)
	}
	if len(fileKeys) > 0 {
		b = append(b, '}')
	}
	return append(b, '}')
}

func appendRaw(b []byte, raw json.RawMessage) []byte {
	if len(raw) == 0 {
		return append(b, "{}"...)
	}
	return append(b, raw...)
}

// fileKey lets a client ask for one file of an event.
type fileKey struct{ blob, key string }

// Types of events that the plugin itself interprets.
const (
	typeStarted = "conversation.started/1"
	typeEnded   = "conversation.ended/1"
	typeMessage = "message/1"
)

// blobsOf returns the files that a message's head names. It decodes only heads that may name some.
func blobsOf(r *sdk.Record) []string {
	if r.Type != typeMessage || !bytes.Contains(r.Head, []byte(`"blobs"`)) {
		return nil
	}
	var head struct {
		Blobs []string `json:"blobs"`
	}
	if err := json.Unmarshal(r.Head, &head); err != nil {
		return nil
	}
	return head.Blobs
}
