// Package drive plays customers and agents without a browser, over the public
// protocols only (plugins/webchat/README.md, docs/protocol/agent-stream.md).
// `parley bench` and the end-to-end tests use it; it imports nothing of ours,
// so it sees what any client sees.
//
// It promises to do what a client may do and nothing else. It leaves to its
// callers what they compare.
package drive
