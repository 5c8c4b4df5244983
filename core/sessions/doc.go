// Package sessions keeps the login sessions: who is logged in, by which token, and
// until when (DESIGN.md 7, 8; promises.md 3).
//
// What it promises: of a token only its SHA-256 is stored; when a call returns, the session that it
// added or ended is on the disk, and RevokedSince tells of the end; a session is added only while
// the user's password is the one that was checked; and RevokeUser ends sessions in the transaction
// of the change that makes them end, so that no session outlives a new password or the disabling of
// its user (PR23).
//
// What it leaves to others: who may log in, when a session expires and who is told
// of its end (gateway/auth), and the users, whose table core/directory keeps.
package sessions
