package sdk

// AccountID names a configured endpoint of the plugin: one telephone number,
// one web chat site. Unique in the installation.
type AccountID string

// ThreadID names an exchange within an account, as the plugin chooses: a phone number, a visitor, a
// call.
type ThreadID string

// ConversationID is a UUID in text form, unique everywhere.
type ConversationID string

// CommandID identifies a command through all its attempts. A UUID in text form.
type CommandID string

// MessageID is the id of a message in the log.
type MessageID string

// BlobID names a stored attachment.
type BlobID string

// SessionID names a session inside a conversation: a call, or the use of a tool. A UUID in text
// form.
type SessionID string

// LegID names one party's part in a call. A UUID in text form.
type LegID string
