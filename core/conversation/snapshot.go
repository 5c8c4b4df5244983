package conversation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// FoldNumber is the number of this build's fold. It grows when State has a new
// field that the events already logged say something about, or when Apply comes
// to another result for them. A row of an older fold is folded anew from the
// events; a row of a newer one is left alone: this build would drop what it does
// not know (DESIGN.md 3). Rows of the time before the number are of fold 1.
//
// Fold 2 never forgets a message that is accepted or unknown (State.Pending).
const FoldNumber = 2

// A snapshot's fold is not this build's.
var (
	ErrOlderFold = errors.New("conversation: row of an older fold")
	ErrNewerFold = errors.New("conversation: row of a newer version")
)

// EncodeState is the JSON of a conversation's row.
func EncodeState(s *State) ([]byte, error) { return EncodeSnapshot(FoldNumber, s) }

// DecodeState reads a conversation's row. With ErrOlderFold and ErrNewerFold the
// state holds what could be read of it: good to be shown and to set timers by, not
// to be decided on.
func DecodeState(b []byte) (*State, error) {
	s := &State{}
	return s, DecodeSnapshot(FoldNumber, b, s)
}

const foldPrefix = `{"fold":`

// EncodeSnapshot is the JSON of v, a struct with fields, with the number of the
// fold that made it in front.
func EncodeSnapshot(fold int, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode snapshot: %w", err)
	}
	out := strconv.AppendInt(append(make([]byte, 0, len(foldPrefix)+4+len(b)), foldPrefix...), int64(fold), 10)
	return append(append(out, ','), b[1:]...), nil
}

// DecodeSnapshot reads what EncodeSnapshot wrote. ErrOlderFold and ErrNewerFold
// say that another fold made it; v then holds what could be read.
func DecodeSnapshot(fold int, b []byte, v any) error {
	made, err := foldOf(b)
	if err == nil && made != fold {
		_ = json.Unmarshal(b, v) // as far as it goes: fields may have changed their shape
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

// foldOf is the number that a snapshot carries; it stands in front, where nearly
// always it is found without parsing the rest.
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

// Ignored is an event of a type that this build does not know, whose head says
// that a fold may go on without it: `"ignorable":true`. A new type that says so
// can be written while older nodes still run.
type Ignored struct {
	name     Type
	audience Audience
}

// Type implements Head.
func (h *Ignored) Type() Type { return h.name }

// Audience implements Head: the circle that the head names in "audience"
// (customer, bot, agent, supervisor, audit); where it names none, the audit.
func (h *Ignored) Audience() Audience { return h.audience }

// UnknownHead decides what becomes of a stored event of a type that is not
// known: an *Ignored, or ErrUnknownType.
func UnknownHead(t Type, head []byte) (Head, error) {
	x := struct {
		Ignorable bool   `json:"ignorable"`
		Audience  string `json:"audience"`
	}{}
	if err := json.Unmarshal(head, &x); err != nil || !x.Ignorable {
		return nil, fmt.Errorf("%w %q", ErrUnknownType, t)
	}
	h := &Ignored{name: t, audience: AudienceAudit}
	switch x.Audience {
	case "customer":
		h.audience = AudienceCustomer
	case "bot", "agent": // no bot reads here: the circle around it is the agents'
		h.audience = AudienceAgent
	case "supervisor":
		h.audience = AudienceSupervisor
	}
	return h, nil
}
