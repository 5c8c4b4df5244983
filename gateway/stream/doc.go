// Package stream is the agents' WebSocket at /api/v1/stream
// (docs/protocol/agent-stream.md): frames are decoded strictly, commands are
// given to core, and what an agent may see is read from core's feed and written
// as far as the socket can take it.
//
// It promises that a command is acknowledged after its commit; that whoever
// comes back with cursors gets exactly what is missing; that a socket which is
// slow, silent, malformed or revoked ends by itself, holds little, and holds up
// nobody else; and that it outlives no session. It leaves to others who somebody
// is (gateway/auth), who may read what and how that is shown and noted
// (gateway/api, whose REST answers show the same), and what a command does.
package stream

//go:generate go test . -run TestTypeScript$ -update
