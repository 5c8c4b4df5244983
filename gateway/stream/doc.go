// Package stream is the agents' WebSocket at /api/v1/stream (docs/protocol/agent-stream.md): it
// decodes frames strictly, passes commands to core, and reads from core's feed what the agent may
// see, only as fast as the socket can take it.
//
// It promises that a command is acknowledged after its commit; that a client which connects again
// with its cursors gets exactly what it has missed; that a socket which is slow, silent, malformed
// or revoked is closed, holds little memory, and delays nobody else; and that no socket outlives
// its session. It leaves to others who somebody is (gateway/auth), who may read what and how that
// is shown and audited (gateway/api, whose REST answers show the same), and what a command does
// (core/router).
package stream

//go:generate go test . -run TestTypeScript$ -update
