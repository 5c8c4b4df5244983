package conversation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Bounds of the provider's ids that a body has.
const (
	maxProviderIDs = 64   // of one report; a message of the longest text has some 50 segments
	maxProviderID  = 1024 // bytes of one
)

// KeptProviderIDs returns those of a provider's ids that a body may have, each once and in their order; nil
// for none. Empty ones, those that are too long or no UTF-8, and those beyond the 64th are left out.
func KeptProviderIDs(ids []string) []string {
	var kept []string
	for _, id := range ids {
		if id == "" || len(id) > maxProviderID || !utf8.ValidString(id) || slices.Contains(kept, id) {
			continue
		}
		if kept = append(kept, id); len(kept) == maxProviderIDs {
			break
		}
	}
	return kept
}

// WithoutPin returns the head of a session's event without the process that has the session, for customers
// and bots: the names of nodes and processes are the installation's. A head that cannot be read gives an
// error. head is not changed.
func WithoutPin(head json.RawMessage) (json.RawMessage, error) {
	if !bytes.Contains(head, []byte(`"pin"`)) {
		return head, nil
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(head, &all); err != nil {
		return nil, fmt.Errorf("conversation: read a session's event: %w", err)
	}
	delete(all, "pin")
	b, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("conversation: encode a session's event: %w", err)
	}
	return b, nil
}

// WithoutProviderIDs returns the body of a message without the provider's ids, for customers and bots:
// the ids are between gateway and provider, and some are made of telephone numbers. A body without such
// ids is returned as it is; another one is encoded anew, with all else that it has. body is not changed.
func WithoutProviderIDs(body json.RawMessage) (json.RawMessage, error) {
	if !bytes.Contains(body, []byte(`"provider_id`)) { // in a text the quotes are escaped
		return body, nil
	}
	var all any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("conversation: read a message: %w", err)
	}
	dropProviderIDs(all)
	b, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("conversation: encode a message: %w", err)
	}
	return b, nil
}

// dropProviderIDs takes the provider's ids out of every object in v.
func dropProviderIDs(v any) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "provider_id")
		delete(v, "provider_ids")
		for _, x := range v {
			dropProviderIDs(x)
		}
	case []any:
		for _, x := range v {
			dropProviderIDs(x)
		}
	}
}
