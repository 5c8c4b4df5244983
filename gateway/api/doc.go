// Package api is what programs and the desktop talk to: REST under /api/v1/,
// described by OpenAPI, and the agents' WebSocket at /api/v1/stream
// (docs/protocol/agent-stream.md). Handlers decode strictly, call core, and
// encode; rules live in core, and who may do what is checked here, object by
// object. Everything that changes something is answered after the commit.
//
// It promises that nobody learns of a conversation that is not theirs, not even
// that it exists, and that every reading of a transcript by somebody outside of
// it is in the audit trail (Z5). It leaves to others who somebody is
// (gateway/auth), and what a command does.
package api

//go:generate go test . -run TestTypeScript$ -update
