// Package auth decides who the sender of a request is and whether they may: login with a password,
// sessions, roles and privileges, protection against forged requests, and single-use grants for
// what a browser opens at a plugin (DESIGN.md 7, 8; promises.md 3).
//
// It promises: a token has at least 128 bits, is stored hashed, and is never logged. Neither the
// answer nor its time shows whether a login exists. A session that ends, by logout, a new password
// or a disabled user, in this process or another, is refused and its open sockets are told within
// five seconds (PR23). When the directory cannot be reached, nobody is let in.
//
// It leaves to others HTTP encoding (gateway/api) and finding the client's address: the gateway
// puts it into RemoteAddr and believes only trusted proxies.
package auth
