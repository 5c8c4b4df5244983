// Package proxy serves /p/<plugin>/...: it passes the routes that a plugin
// declared on to the HTTP server on the plugin's unix socket (plugin-notes.md
// 8). Every route goes through one gate: public, agent or grant. The plugin
// learns who asks from the signed Parley-Identity header only; cookies and
// credentials of the gateway never reach it, and it sets no cookies.
//
// Requests go through net/http/httputil. WebSockets go through a tunnel of our
// own, which keeps nothing but two parked goroutines for an idle socket, knows
// where frames end, and tells the client 1012 when the plugin is gone or the
// gateway drains, so that widgets come back by themselves.
//
// It promises that a plugin gets no request but on a route that it declared and
// by somebody who may take it. It leaves to the plugin what it answers, and to
// gateway/auth who somebody is.
package proxy
