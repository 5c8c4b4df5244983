// Package hook takes carriers' webhooks at /hooks/{account} and answers them
// with what the account's plugin says, after everything in them is durable
// (SPEC Y, PR1, PR2, FT31). The raw request goes to the plugin as it came: the
// plugin checks signatures, over the configured public URL and never over what
// a header claims. Nothing here is proxied, repeated or cached; a carrier's own
// retry is the only one.
//
// It promises that a 2xx leaves only after the commit, and that what cannot be
// taken now is answered so that carriers repeat it. It leaves to others what a
// webhook says (the plugin), what is a repeat (the log), and who may open
// connections (gateway).
package hook
