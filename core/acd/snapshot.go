package acd

import "github.com/parley-gateway/parley/core/conversation"

// FoldNumber is conversation.FoldNumber for agents' states.
const FoldNumber = 1

// EncodeState is the JSON of an agent's row.
func EncodeState(a *AgentState) ([]byte, error) {
	return conversation.EncodeSnapshot(FoldNumber, a)
}

// DecodeState reads an agent's row. With conversation.ErrOlderFold and
// ErrNewerFold the state holds what could be read of it: good to be shown, not
// to be decided on.
func DecodeState(b []byte) (*AgentState, error) {
	a := &AgentState{}
	return a, conversation.DecodeSnapshot(FoldNumber, b, a)
}
