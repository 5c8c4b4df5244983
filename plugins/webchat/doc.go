// Package webchat is the web chat channel: a plugin that serves the widget (launcher and chat
// panel), implements the customers' WebSocket protocol of README.md, and connects each visitor to
// its thread in the gateway.
//
// It promises that an `accepted` frame is sent only after the commit (DESIGN.md 1.3), that events
// reach customers in order and with the stored bytes, and that no event is ever dropped on the way:
// a client that reads too slowly is disconnected and resumes from its cursor. A visitor is known by
// a 128-bit token only, of which the gateway sees an HMAC. It leaves conversations, queues and
// limits on content to the gateway; this package keeps no state that would be missing after a
// restart.
package webchat

//go:generate go test . -run TestTypeScript$ -update
