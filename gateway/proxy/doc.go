// Package proxy serves /p/<plugin>/...: it passes requests for the routes that a plugin declared on
// to the HTTP server on the plugin's unix socket (plugin-notes.md 8). Every route has one of three
// access rules: public, agent or grant. The plugin learns who sends a request from the signed
// Parley-Identity header only; the gateway's cookies and credentials never reach it, and it cannot
// set cookies.
//
// Requests go through net/http/httputil. WebSockets go through this package's own tunnel, which
// needs only two waiting goroutines for an idle socket, knows where frames end, and closes with
// 1012 when the plugin is gone or the gateway drains, so that widgets connect again by themselves.
//
// It promises that a plugin gets only requests for a route that it declared, from senders who may
// use that route. It leaves to the plugin what it answers, and to gateway/auth who somebody is.
package proxy
