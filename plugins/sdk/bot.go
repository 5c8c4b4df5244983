package sdk

import "context"

// BotNoticeHandler is told which conversations the plugin's bots are to answer (minor 1): all of
// them when a Session begins, then as they come. A notice may come again. Most bots are simpler as a
// Bot, which the SDK tells only of what was said.
type BotNoticeHandler interface {
	BotNotice(ctx context.Context, n BotNotice)
}

// BotNoticeFunc adapts a function to BotNoticeHandler.
type BotNoticeFunc func(ctx context.Context, n BotNotice)

// BotNotice calls f.
func (f BotNoticeFunc) BotNotice(ctx context.Context, n BotNotice) { f(ctx, n) }

// BotNotice says that an account is the bot of a conversation, or no longer.
type BotNotice struct {
	Account      AccountID
	Conversation ConversationID
	Left         bool   // the bot takes part no longer
	Seq          uint64 // of the event by which it joined or left
}

// BotPost is a bot's message to the customer (minor 1). The event has the bot's account and no
// thread. A repeat under the same ClientID is the same message: derive it from the record that the
// message answers.
type BotPost struct {
	Conversation ConversationID
	ClientID     string // at most 64 bytes
	Parts        []Part
	ReplyTo      MessageID // "" = none
}

// BotHandOver: the bot leaves, and people take over (minor 1).
type BotHandOver struct {
	Conversation ConversationID
	Service      string // the id or name of another service; "" = the conversation's own
	Reason       string // for agents; "" = none
}

// BotEnd: the bot ends the conversation (minor 1).
type BotEnd struct {
	Conversation ConversationID
	Reason       string
}

// BotAttributes adds to what is known of the customer (minor 1).
type BotAttributes struct {
	Conversation ConversationID
	Attributes   []Attribute
}

func (BotPost) isEventBody()       {}
func (BotHandOver) isEventBody()   {}
func (BotEnd) isEventBody()        {}
func (BotAttributes) isEventBody() {}
