// Package api is the interface for programs and the desktop: REST under /api/v1/, described by
// OpenAPI. gateway/stream serves the agents' WebSocket with the same views and checks. Handlers
// decode strictly, call core, and encode the answer; the rules of conversations are core's, and
// this package checks who may do what with each object. Whatever changes something is answered
// after the commit.
//
// It promises that nobody learns of a conversation that is not theirs, not even that it exists, and
// that every reading of a transcript by somebody who does not take part is in the audit trail (Z5).
// It leaves to others who the user is (gateway/auth), agents' live traffic (gateway/stream), and
// what a command does (core/router).
package api
