// Package messages makes messages of what people write: customers through their plugins, and
// agents. It checks the parts, lets only allow-listed mark-up through (D6), encodes the body, and
// completes the command: the authors of the messages that it refers to come from the log, the
// descriptions of its attachments from the store.
//
// It promises that a part which passes the checks is valid UTF-8 and within its bounds; that a
// customer's message is kept even when something that it refers to is missing, while an agent gets
// an error; that this package writes nothing; and that what one message can make the log read is
// bounded. A command that is completed again, after a conflict, gets what is true by then.
//
// It leaves to core/conversation who may write, change and refer to what; to core/blob to whom an
// attachment belongs; and to the router to bind new attachments in the append of the message.
package messages
