package plugin

import "github.com/parley-gateway/parley/core/conversation"

// BotAction is what a bot does in a conversation in which it takes part. Exactly one of the fields
// after Conversation is set. The Inbound's account is the bot's.
type BotAction struct {
	Conversation conversation.ConversationID
	Post         *BotPost
	HandOver     *BotHandOver
	End          *BotEnd
	Attributes   map[string]string // adds to what is known of the customer
}

// BotPost is a bot's message to the customer.
type BotPost struct {
	ClientID string // a repeat under the same one is the same message
	Parts    []conversation.Part
	ReplyTo  conversation.MessageID
}

// BotHandOver: the bot leaves, and people take over.
type BotHandOver struct {
	Service string // id or name of another service; "" = the conversation's own
	Reason  string // for agents
}

// BotEnd: the bot ends the conversation.
type BotEnd struct{ Reason string } // for agents

// BotNotice tells a bot's plugin that it is to answer a conversation, or no longer. A hint: it may
// come again.
type BotNotice struct {
	Account      conversation.AccountID
	Conversation conversation.ConversationID
	Left         bool
	Seq          uint64 // of the event by which the bot joined or left
}
