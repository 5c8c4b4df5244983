// Package doctor examines what a gateway needs to run: folders, keys, database, ports, the clock,
// and a running gateway with its plugins and webhooks. Each Finding tells operators in words what
// was found and, if something is wrong, what to do about it. `parley doctor` prints the findings;
// the administrators' check in the desktop shows those of the gateway's own machine.
//
// It promises to change nothing: it can read beside a running gateway, and removes the file with
// which it tries a folder. No finding contains a password or a key.
//
// It leaves to the caller which fragment a carrier needs in a webhook's URL, since only the
// catalogue of plugins knows that, and to gateway/api the checks of records.
package doctor
