package webchat

import (
	"sync"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// visitorKey names a visitor: the address is the thread's name too.
type visitorKey struct {
	account sdk.AccountID
	thread  sdk.ThreadID
}

// visitor is a customer with at least one socket, or one who was here a
// moment ago. All its tabs and devices share it.
type visitor struct {
	visitorKey
	site *site

	mu       sync.Mutex
	sockets  []*socket
	open     sdk.ConversationID // as its records and answers tell; "" = none
	ended    sdk.ConversationID // the last one whose end was seen
	starting int                // starts that the gateway has not answered yet
	messages bucket
	starts   bucket
	typingAt int64 // milliseconds: when typing was last passed on; 0 = not typing
	pageKey  uint64
	pages    bucket
	leaveAt  int64 // milliseconds: when it counts as gone; 0 = it is here

	// receipts: what clients said, and what the gateway was told.
	receipt, told sdk.Receipt
	telling       bool
}

// list returns the sockets of now.
func (v *visitor) list() []*socket {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]*socket(nil), v.sockets...)
}

// opened returns the open conversation as far as the plugin has seen.
func (v *visitor) opened() sdk.ConversationID {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.open
}

// setOpen notes the open conversation and reports whether it is news.
func (v *visitor) setOpen(id sdk.ConversationID) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	news := v.open != id
	v.open = id
	return news
}

// setEnded notes that a conversation ended.
func (v *visitor) setEnded(id sdk.ConversationID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended = id
	if v.open == id {
		v.open = ""
	}
}

// started takes the conversation of the gateway's answer to a start; "" = none.
// It reports whether the customer had gone meanwhile, so that nobody but this
// answer tells of the conversation. A repeat's answer counts where no
// conversation is open as far as the plugin has seen: the gateway may have
// written a start that it first gave no answer to. Should that conversation have
// ended long ago, the gateway refuses what is said of it.
func (v *visitor) started(id sdk.ConversationID, repeat bool) (away bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if id == "" || id == v.ended || id == v.open || repeat && v.open != "" {
		return false
	}
	v.open = id
	return len(v.sockets) == 0
}

// merge adds a client's receipt and returns what should be told now, if
// anything: receipts are cumulative, so one may be under way at a time and
// the next says everything since.
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

// toldReceipt notes what the gateway has, and returns what is to be told next.
func (v *visitor) toldReceipt(r sdk.Receipt, ok bool) (next sdk.Receipt, more bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.telling = false
	if !ok {
		return sdk.Receipt{}, false // the next frame of the client's says it again
	}
	v.told = r
	if v.receipt == r {
		return sdk.Receipt{}, false
	}
	v.telling = true
	return v.receipt, true
}
