package conversation

// TypeContentRewritten is the type of ContentRewritten.
const TypeContentRewritten Type = "content.rewritten/1"

// ContentRewritten: the bodies of earlier events have been replaced in the log, to mask or to erase
// something; whoever holds them must read them again. A rewriting is told to each circle apart, by an
// event that lists only what this circle may see; one that changed nothing but the data key is told to
// the audit, without sequences. The text that was there before is nowhere any more.
type ContentRewritten struct {
	By     Author   `json:"by"`
	Seqs   []uint64 `json:"seqs"`   // the events whose bodies are others now or gone, ascending
	Reason string   `json:"reason"` // a short code, such as masked or erased
	Circle Audience `json:"audience"`
}

// Type implements Head.
func (*ContentRewritten) Type() Type { return TypeContentRewritten }

// Audience implements Head.
func (h *ContentRewritten) Audience() Audience { return h.Circle.or(TypeContentRewritten) }
