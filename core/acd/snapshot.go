package acd

import "github.com/parley-gateway/parley/core/conversation"

// FoldNumber is the number of this build's fold of agents' states, as conversation.FoldNumber is
// for conversations.
const FoldNumber = 2

// EncodeState is the JSON of an agent's row.
func EncodeState(a *AgentState) ([]byte, error) {
	return conversation.EncodeSnapshot(FoldNumber, a)
}

// DecodeState reads an agent's row. With conversation.ErrOlderFold and conversation.ErrNewerFold
// the state holds what could be read of the row: fit to be shown, but not for decisions.
func DecodeState(b []byte) (*AgentState, error) {
	a := &AgentState{}
	return a, conversation.DecodeSnapshot(FoldNumber, b, a)
}
