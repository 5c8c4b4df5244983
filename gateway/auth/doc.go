// Package auth decides who somebody is and whether they may: login with a
// password, sessions, roles and privileges, protection against forged
// requests, and single-use grants for what a browser opens at a plugin
// (DESIGN.md 7, 8; promises.md 3).
//
// What it promises: a token is at least 128 bits, is stored hashed, and is
// never logged; whether a login exists shows neither in the answer nor in its
// time; a session that ends anywhere (logout, new password, disabled user, by
// this process or another) is refused, and its open sockets are told, within
// five seconds (PR23); when the directory cannot be asked, nobody gets in.
//
// What it leaves to others: HTTP encoding (gateway/api), and who the client
// is: the gateway puts the client's address into RemoteAddr, believing only
// trusted proxies.
package auth
