// Package doctor examines what a gateway needs to run: folders, keys, database,
// ports, the clock, and a running gateway with its plugins and webhooks. Each
// Finding says what is the matter in words for operators and, where something
// is, what to do about it. `parley doctor` prints them; the admins' check-up in
// the desktop takes those of a running gateway's own machine.
//
// It promises to change nothing: it reads beside a gateway at work, and what it
// makes to try a folder it removes. No finding holds a password or a key.
//
// What a carrier wants behind a webhook's URL is told by the caller, since only
// the catalogue of plugins knows. Checks of the records are left to gateway/api.
package doctor
