// Package api is what programs and the desktop talk to: REST under /api/v1/,
// described by OpenAPI, and the agents' WebSocket at /api/v1/stream
// (docs/protocol/agent-stream.md). Handlers decode strictly, call core, and
// encode; rules live in core, and who may do what is checked here, object by
// object. Everything that changes something is answered after the commit.
package api
