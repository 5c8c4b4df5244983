// Package audit keeps the audit trail: who did what to which record, who read which
// conversation, who logged in or was refused (SPEC Z5; DESIGN.md 7). Entries are
// never changed or removed.
//
// What it promises: an entry is on the disk when Append returns; with AppendTx it is on the disk
// together with the change that it records, in whose transaction it is written. Entries are
// numbered from 1 without gaps, and each carries a keyed hash over itself and the entry before it.
// Verify finds entries that were changed, swapped or left out by somebody who can write to the
// database but does not have the vault's key.
//
// What it leaves to others: which entries are written (core/directory its changes, gateway/auth
// logins, gateway/api and gateway/stream what is read), that entries hold no content, and that the
// database refuses changes of its rows, which core/database's triggers do.
package audit
