// Package messages makes messages of what people write: customers through their
// plugins, and agents. It checks the parts, lets only allow-listed mark-up through
// (D6), encodes the body, and completes the command with what the log knows of the
// messages that it names and the store of its attachments.
//
// It promises that a part that comes through is valid UTF-8 and within its bounds;
// that a customer's words are kept whatever became of what they refer to, while an
// agent is told; that nothing is written here; and that what one message can make the
// log read is bounded. Completing a command again, after a conflict, gives what is
// true by then.
//
// It leaves to core/conversation who may write, change and refer to what; to
// core/blob whose an attachment is; and to the router to bind the new ones in the
// append of the message.
package messages
