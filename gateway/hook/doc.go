// Package hook takes carriers' webhooks at /hooks/{account} and answers them with what the
// account's plugin says, after everything in them is durable (SPEC Y, PR1, PR2, FT31). The plugin
// gets the raw request unchanged: it checks the signature, over the configured public URL and never
// over what a header claims. The package never proxies, repeats or caches a webhook; only the
// carrier retries.
//
// It promises that a 2xx leaves only after the commit, and that what cannot be made durable now is
// answered so that carriers send it again. It leaves to others what a webhook says (the plugin),
// what is a repeat (the log), and who may open connections (gateway).
package hook
