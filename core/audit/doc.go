// Package audit keeps the audit trail: who did what to which record, who read which
// conversation, who logged in or was refused (SPEC Z5; DESIGN.md 7). Entries are
// never changed or removed.
//
// What it promises: an entry is on the disk when Append returns, or together with
// the change that it tells of when AppendTx is part of that change's transaction;
// entries count from 1 without holes, each carries a keyed hash over itself and
// the one before it, and Verify finds what was changed, swapped or left out by
// somebody who can write to the database but lacks the vault's key.
//
// What it leaves to others: what has to be written down (core/directory its
// changes, gateway/auth logins, gateway/api and gateway/stream what is read), that
// entries hold no content, and that the database refuses changes of its rows, which
// core/database's triggers do.
package audit
