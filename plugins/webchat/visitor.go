package webchat

import (
	"sync"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// visitorKey identifies a visitor: the address is also the name of the thread.
type visitorKey struct {
	account sdk.AccountID
	thread  sdk.ThreadID
}

// visitor is a customer who has at least one socket, or had one a moment ago. All of the customer's
// tabs and devices share it.
type visitor struct {
	visitorKey
	site *site

	mu       sync.Mutex
	sockets  []*socket
	open     sdk.ConversationID // the open conversation, as records and answers say; "" = none
	ended    sdk.ConversationID // the last conversation whose end was seen
	starting int                // number of starts that the gateway has not answered yet
	messages bucket
	starts   bucket
	typingAt int64 // milliseconds: when typing was last passed on; 0 = not typing
	pageKey  uint64
	pages    bucket
	leaveAt  int64 // milliseconds: when the customer will count as gone; 0 = connected

	// receipts: what clients have reported, and what the gateway was told
	receipt, told sdk.Receipt
	telling       bool
}

// list returns the visitor's present sockets.
func (v *visitor) list() []*socket {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]*socket(nil), v.sockets...)
}

// opened returns the conversation that is open, as far as the plugin has seen.
func (v *visitor) opened() sdk.ConversationID {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.open
}

// setOpen records the open conversation and reports whether that is a change.
func (v *visitor) setOpen(id sdk.ConversationID) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	news := v.open != id
	v.open = id
	return news
}

// setEnded records that a conversation has ended.
func (v *visitor) setEnded(id sdk.ConversationID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended = id
	if v.open == id {
		v.open = ""
	}
}

// started takes the conversation from the gateway's answer to a start; "" = none. It reports
// whether the customer left meanwhile, in which case only this answer tells of the conversation.
// The answer to a repeat counts only if no conversation is open as far as the plugin has seen,
// because the gateway may have stored a start without having answered it. If that conversation
// ended long ago, the gateway refuses further events about it.
func (v *visitor) started(id sdk.ConversationID, repeat bool) (away bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if id == "" || id == v.ended || id == v.open || repeat && v.open != "" {
		return false
	}
	v.open = id
	return len(v.sockets) == 0
}

// merge adds a client's receipt and returns the receipt to send now, if any. Receipts are
// cumulative, so only one is under way at a time, and the next one covers everything since.
func (v *visitor) merge(r sdk.Receipt) (tell sdk.Receipt, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r.Conversation != v.receipt.Conversation {
		v.receipt = sdk.Receipt{Conversation: r.Conversation}
	}
	v.receipt.DeliveredSeq = max(v.receipt.DeliveredSeq, r.DeliveredSeq, r.ReadSeq)
	v.receipt.ReadSeq = max(v.receipt.ReadSeq, r.ReadSeq)
	if v.telling || v.receipt == v.told {
		return sdk.Receipt{}, false
	}
	v.telling = true
	return v.receipt, true
}

// toldReceipt records what the gateway has got, and returns the next receipt to send.
func (v *visitor) toldReceipt(r sdk.Receipt, ok bool) (next sdk.Receipt, more bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.telling = false
	if !ok {
		return sdk.Receipt{}, false // the client's next receipt covers it
	}
	v.told = r
	if v.receipt == r {
		return sdk.Receipt{}, false
	}
	v.telling = true
	return v.receipt, true
}
