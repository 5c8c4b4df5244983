// Package webchat is the web chat channel: a plugin that serves the widget
// (launcher and chat panel), speaks the customers' WebSocket protocol of
// README.md, and connects each visitor to its thread in the gateway.
//
// It promises that an `accepted` frame leaves only after the commit
// (DESIGN.md 1.3), that events reach customers in the stored bytes and in
// order, and that nothing logged is ever dropped on the way: a reader that is
// too slow is disconnected and resumes from its cursor. Visitors are known by
// a 128-bit token only; what the gateway sees of it is an HMAC. Conversations,
// queues and limits on content are the gateway's business; this package keeps
// no state that a restart would miss.
package webchat
