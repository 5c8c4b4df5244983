package directory

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/database"
)

var (
	loginPattern  = regexp.MustCompile(`^[a-z0-9][a-z0-9._@-]{0,63}$`)
	keyPattern    = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,63}$`)
	pluginPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)
	mimePattern   = regexp.MustCompile(`^[a-z]+/([a-z0-9][a-z0-9.+-]*|\*)$`)
)

// Errors. They are wrapped with operation and kind, never with content.
var (
	// ErrNotFound: no such record.
	ErrNotFound = errors.New("directory: not found")
	// ErrFull: the disk is full; writes fail, reads go on (PR16).
	ErrFull = database.ErrFull
	// ErrFailed: the store reported an I/O error (PR17).
	ErrFailed = database.ErrFailed
	// ErrUnavailable: the database server cannot be reached or does not answer in time. The change
	// may have been made nevertheless.
	ErrUnavailable = database.ErrUnavailable
)

// Fault is what is wrong with one field.
type Fault struct {
	Path    string // inside the record, as in JSON: "rules.share", "skills[2]"
	Problem string // "must be ..."
}

// InvalidError lists everything that is wrong with a record.
type InvalidError struct {
	Kind   string // "user", "service" ...
	Faults []Fault
}

// Error names paths and problems, never values.
func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		parts[i] = f.Path + " " + f.Problem
	}
	return "directory: invalid " + e.Kind + ": " + strings.Join(parts, "; ")
}

// TakenError says that a name or login belongs to another record.
type TakenError struct {
	Kind  string
	Field string // "login", "name"
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("directory: another %s has this %s", e.Kind, e.Field)
}

// faults collects what is wrong.
type faults []Fault

func (f *faults) check(ok bool, path, problem string) {
	if !ok {
		*f = append(*f, Fault{path, problem})
	}
}

// label checks a name that people read: one line, at most 100 characters.
func (f *faults) label(path, s string, needed bool) {
	switch {
	case needed && strings.TrimSpace(s) == "":
		f.check(false, path, "must not be empty")
	case !utf8.ValidString(s) || utf8.RuneCountInString(s) > 100:
		f.check(false, path, "must be at most 100 characters of UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		f.check(false, path, "must be one line without control characters")
	}
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	slices.SortStableFunc(f, func(a, b Fault) int { return strings.Compare(a.Path, b.Path) })
	return &InvalidError{Faults: f}
}

// sortedSet returns the trimmed, distinct strings in order; nil when empty.
func sortedSet(in []string) []string {
	var out []string
	for _, s := range in {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// uniqueIDs returns the distinct non-zero ids in order; nil when empty.
func uniqueIDs[K any](in []conversation.ID[K]) []conversation.ID[K] {
	var out []conversation.ID[K]
	for _, id := range in {
		if !id.IsZero() {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, func(a, b conversation.ID[K]) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(out)
}
