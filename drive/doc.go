// Package drive acts as customers and agents without a browser, over the public protocols only
// (plugins/webchat/README.md, docs/protocol/agent-stream.md). `parley bench` and the end-to-end
// tests use it. It imports nothing else of Parley, so it can know only what any client knows.
//
// It promises to do only what a client may do. It leaves to its callers what they check.
package drive
