// Package api is what programs and the desktop talk to: REST under /api/v1/,
// described by OpenAPI; the agents' WebSocket beside it is gateway/stream, which
// shows and checks as this room does. Handlers decode strictly, call core, and
// encode; rules live in core, and who may do what is checked here, object by
// object. Everything that changes something is answered after the commit.
//
// It promises that nobody learns of a conversation that is not theirs, not even
// that it exists, and that every reading of a transcript by somebody outside of
// it is in the audit trail (Z5). It leaves to others who somebody is
// (gateway/auth), agents' live traffic (gateway/stream), and what a command does.
package api
