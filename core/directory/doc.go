// Package directory keeps the records of an installation: users, teams,
// skills, services, accounts and contacts (DESIGN.md 2, 5). They live in the
// database of the log, in tables of their own, behind the handle of core/database.
//
// Hot reads come from an immutable Snapshot in memory, which every change
// replaces; Changes tells when. A change made by another process on the same
// database (`parley apply` beside a running gateway) is noticed within
// Options.Poll.
//
// What the package promises: a record that it returns is valid and its references exist; a change
// is durable, and in the audit trail, before it is visible; a new password, or disabling a user,
// ends the user's login sessions in the same change; contacts and account secrets are sealed under
// keys of the vault. What it leaves to others: the trail (core/audit) and the sessions
// (core/sessions) themselves, whether the caller may do what it asks (gateway/auth), and whether an
// account's settings suit its plugin (core/pluginhost).
package directory
