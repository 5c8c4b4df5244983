package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/gateway/api"
)

// Frames from the client. Each is decoded strictly into its own type: a field that the type does
// not have is an error, so that a client's mistake is not ignored. "omitempty" says that a client
// may leave a field out (TestTypeScript).

// frameHeader are the fields that every frame from a client may have.
type frameHeader struct {
	T   string `json:"t"`
	ID  string `json:"id,omitempty"`
	Cmd string `json:"cmd,omitempty"`
}

type helloFrame struct {
	frameHeader
	Cursors map[conversation.ConversationID]uint64 `json:"cursors"`
}

type watchFrame struct {
	frameHeader
	Conversation conversation.ConversationID `json:"conversation"`
	After        uint64                      `json:"after"`
}

type unwatchFrame struct {
	frameHeader
	Conversation conversation.ConversationID `json:"conversation"`
}

type typingInFrame struct {
	frameHeader
	Conversation conversation.ConversationID `json:"conversation"`
	On           bool                        `json:"on"`
}

type boardInFrame struct {
	frameHeader
	On bool `json:"on"`
}

type pingFrame struct{ frameHeader }

// Commands.

type plainCmd struct{ frameHeader }

type notReadyCmd struct {
	frameHeader
	Reason string `json:"reason"`
}

type offerCmd struct {
	frameHeader
	Offer conversation.OfferID `json:"offer"`
}

type sendCmd struct {
	frameHeader
	Conversation conversation.ConversationID `json:"conversation"`
	ClientID     string                      `json:"client_id"`
	Parts        []conversation.Part         `json:"parts"`
	ReplyTo      conversation.MessageID      `json:"reply_to,omitzero"`
}

type markCmd struct {
	frameHeader
	Conversation conversation.ConversationID `json:"conversation"`
	Delivered    uint64                      `json:"delivered,omitempty"`
	Read         uint64                      `json:"read,omitempty"`
}

type endCmd struct {
	frameHeader
	Conversation conversation.ConversationID `json:"conversation"`
	Queue        bool                        `json:"queue,omitempty"`
}

type wrapupCmd struct {
	frameHeader
	Conversation conversation.ConversationID `json:"conversation"`
	Disposition  string                      `json:"disposition,omitempty"`
	Notes        string                      `json:"notes,omitempty"`
}

type inviteCmd struct {
	frameHeader
	Conversation conversation.ConversationID `json:"conversation"`
	Target       conversation.Target         `json:"target"`
	Transfer     bool                        `json:"transfer,omitempty"`
}

type cancelInviteCmd struct {
	frameHeader
	Conversation conversation.ConversationID `json:"conversation"`
	Request      conversation.RequestID      `json:"request"`
}

type flagCmd struct {
	frameHeader
	Conversation conversation.ConversationID `json:"conversation"`
	On           bool                        `json:"on"`
}

type linkContactCmd struct {
	frameHeader
	Conversation conversation.ConversationID `json:"conversation"`
	Contact      conversation.ContactID      `json:"contact"`
}

// decodeStrict decodes exactly one JSON object into v and refuses unknown fields.
func decodeStrict(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return api.NewFault("malformed", api.Detail{Problem: jsonProblem(err)})
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return api.NewFault("malformed", api.Detail{Problem: "more than one JSON value"})
	}
	return nil
}

// jsonProblem says what is wrong with JSON without quoting values, which may be confidential.
func jsonProblem(err error) string {
	if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("field %s must not be a %s", te.Field, te.Value)
	}
	if se, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("not JSON at byte %d", se.Offset)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return "unknown field " + name
	}
	return "not a valid frame"
}
