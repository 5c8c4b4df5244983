package webchat

import (
	"encoding/json"
	"regexp"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// actionShape is the form that an action of a panel's button must have (docs/plugin-contract.md, Panels).
var actionShape = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)

// maxFields is the number of values that a panel's button may send: a panel has at most so many blocks.
const maxFields = 100

// readTool converts a client's use of a tool to the contract's. Values are strings, and booleans of checkboxes.
func readTool(f *inFrame) (sdk.CustomerTool, error) {
	out := sdk.CustomerTool{Session: sdk.SessionID(f.Session), Account: sdk.AccountID(f.Account), Action: f.Action, Revision: f.Revision}
	of, other := f.Session, f.Account
	if f.Action == "start" {
		of, other = other, of
	}
	if uuid.Validate(of) != nil || other != "" || !actionShape.MatchString(f.Action) || len(f.Values) > maxFields {
		return out, errInvalid
	}
	if len(f.Values) == 0 {
		return out, nil
	}
	for name, raw := range f.Values {
		if name == "" || len(name) > 64 || !isValue(raw) {
			return out, errInvalid
		}
	}
	var err error
	if out.Values, err = json.Marshal(f.Values); err != nil {
		return out, errInvalid
	}
	return out, nil
}

// isValue reports whether a decoded JSON value, which has no space around it, is a string or a boolean.
func isValue(raw json.RawMessage) bool {
	return len(raw) > 0 && (raw[0] == '"' || raw[0] == 't' || raw[0] == 'f')
}

// handleTool passes on what the customer does with a tool: starts or ends it, or presses a button of the panel that
// it shows. It counts as a message against the visitor's and the address's limits.
func (s *socket) handleTool(f *inFrame, v *visitor) {
	if !clientIDShape.MatchString(f.ClientID) {
		s.fail(f, string(errClientID))
		return
	}
	if !s.mayWrite(f, v) {
		return
	}
	body, err := readTool(f)
	if err != nil {
		s.fail(f, err.Error())
		return
	}
	s.emit(v, f.ClientID, "t", body)
}
