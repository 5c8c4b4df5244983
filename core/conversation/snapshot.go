package conversation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// FoldNumber is the number of this build's fold. It must grow when State gets a new field that
// events already logged determine, or when Apply computes a different result for them. A row with a
// lower number is folded again from the events. A row with a higher number must not be written:
// this build would drop fields that it does not know (DESIGN.md 3). Rows written before the number
// existed are of fold 1.
//
// Since fold 2 a message that is accepted or unknown is never dropped from State.Pending.
// Since fold 3 State.LastVisible says what bots may see, too.
// Since fold 4 State.EndedTools has the tools that have ended.
const FoldNumber = 4

// Errors for a snapshot that was not made by this build's fold.
var (
	ErrOlderFold = errors.New("conversation: row of an older fold")
	ErrNewerFold = errors.New("conversation: row of a newer version")
)

// EncodeState is the JSON of a conversation's row.
func EncodeState(s *State) ([]byte, error) { return EncodeSnapshot(FoldNumber, s) }

// DecodeState reads a conversation's row. With ErrOlderFold and ErrNewerFold the state holds what
// could be read of the row: fit to be shown and to set timers by, but not for decisions.
func DecodeState(b []byte) (*State, error) {
	s := &State{}
	return s, DecodeSnapshot(FoldNumber, b, s)
}

const foldPrefix = `{"fold":`

// EncodeSnapshot is the JSON of v, a struct with fields, preceded by the number of the fold that
// made v.
func EncodeSnapshot(fold int, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode snapshot: %w", err)
	}
	out := strconv.AppendInt(append(make([]byte, 0, len(foldPrefix)+4+len(b)), foldPrefix...), int64(fold), 10)
	return append(append(out, ','), b[1:]...), nil
}

// DecodeSnapshot reads what EncodeSnapshot wrote. ErrOlderFold and ErrNewerFold mean that another
// fold made the snapshot; v then holds what could be read.
func DecodeSnapshot(fold int, b []byte, v any) error {
	made, err := foldOf(b)
	if err == nil && made != fold {
		_ = json.Unmarshal(b, v) // as far as possible, since fields may have changed their shape
		if made > fold {
			return ErrNewerFold
		}
		return ErrOlderFold
	}
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return fmt.Errorf("decode snapshot: %w", err)
	}
	return nil
}

// foldOf reads the fold number of a snapshot. The number comes first, so it is nearly always found
// without parsing the rest.
func foldOf(b []byte) (int, error) {
	if rest, ok := bytes.CutPrefix(b, []byte(foldPrefix)); ok {
		if end := bytes.IndexAny(rest, ",}"); end > 0 {
			if n, err := strconv.Atoi(string(rest[:end])); err == nil {
				return n, nil
			}
		}
	}
	x := struct {
		Fold *int `json:"fold"`
	}{}
	if err := json.Unmarshal(b, &x); err != nil {
		return 0, err
	}
	if x.Fold == nil {
		return 1, nil
	}
	return *x.Fold, nil
}

// Ignored is an event of a type that this build does not know, whose head contains
// `"ignorable":true`, so that a fold may skip it. Events of such a new type can be written while
// older nodes still run.
type Ignored struct {
	name     Type
	audience Audience
}

// Type implements Head.
func (h *Ignored) Type() Type { return h.name }

// Audience implements Head: the circle that the head names in "audience" (customer, bot, agent,
// supervisor, audit); the audit if the head names none.
func (h *Ignored) Audience() Audience { return h.audience }

// UnknownHead decides how a stored event of an unknown type is treated: it returns an *Ignored, or
// ErrUnknownType.
func UnknownHead(t Type, head []byte) (Head, error) {
	x := struct {
		Ignorable bool     `json:"ignorable"`
		Audience  Audience `json:"audience"`
	}{}
	if err := json.Unmarshal(head, &x); err != nil || !x.Ignorable {
		return nil, fmt.Errorf("%w %q", ErrUnknownType, t)
	}
	if x.Audience == 0 { // "": the circle of the event's type, which this build does not know
		x.Audience = AudienceAudit
	}
	return &Ignored{name: t, audience: x.Audience}, nil
}
