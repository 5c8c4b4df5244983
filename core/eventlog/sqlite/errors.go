package sqlite

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/parley-gateway/parley/core/eventlog"
)

// Errors of this store beside those of package eventlog.
var (
	// ErrLocked: another process has the data folder open for writing.
	ErrLocked = errors.New("eventlog: data folder is in use by another process")
	// ErrReadOnly: the log was opened with OpenReadOnly.
	ErrReadOnly = errors.New("eventlog: read only")
	// ErrVersion: the linked SQLite is older than versionFloor.
	ErrVersion = errors.New("eventlog: SQLite is too old")
)

// errPartial marks an error that left part of an append in the transaction.
var errPartial = errors.New("append left half done")

// trouble is what an error means for the transaction and the log.
type trouble int

const (
	troubleNone  trouble = iota // nothing was written, and the other appends of the batch are safe
	troubleOne                  // only the statement at hand is to blame
	troubleBusy                 // another process holds the write lock
	troubleFull                 // no space: fails now, may work later (PR16)
	troubleFatal                // durability or content can no longer be guaranteed (PR17)
)

// classify tells what kind of trouble err is, from SQLite's result code
// (https://www.sqlite.org/rescode.html). SQLite maps ENOSPC on a write to
// SQLITE_FULL; any other failed read, write or flush is an SQLITE_IOERR. A
// flush that failed may have dropped the pages it could not write, so neither
// a retry nor a later success proves anything.
func classify(err error) trouble {
	var e *sqlite.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, eventlog.ErrCorrupt): // a checksum did not match
		return troubleFatal
	case errors.Is(err, errPartial):
		return troubleOne
	default:
		return troubleNone
	}
	switch code := e.Code(); code & 0xff {
	case sqlite3.SQLITE_FULL:
		return troubleFull
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return troubleBusy
	case sqlite3.SQLITE_IOERR:
		// Growing the shared-memory file fails with this code on a full disk, before anything of
		// the transaction was written.
		if code == sqlite3.SQLITE_IOERR_SHMSIZE {
			return troubleFull
		}
		return troubleFatal
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return troubleFatal
	case sqlite3.SQLITE_READONLY: // the file was moved away or the disk locked
		return troubleFatal
	default:
		return troubleOne
	}
}

func isCorrupt(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_CORRUPT || e.Code()&0xff == sqlite3.SQLITE_NOTADB)
}

// named wraps SQLite's error in the matching error of package eventlog.
func named(err error) error {
	switch {
	case err == nil:
		return nil
	case isCorrupt(err):
		return fmt.Errorf("%w: %w", eventlog.ErrCorrupt, err)
	case classify(err) == troubleFull:
		return fmt.Errorf("%w: %w", eventlog.ErrFull, err)
	}
	return err
}
