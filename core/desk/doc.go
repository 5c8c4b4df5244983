// Package desk carries out what people at their desks ask for: agents who take, answer, hand on and end
// conversations, supervisors who take part in them, and both of them when they look at the board. It checks
// what depends on who takes part in a conversation, and says what a command means for the conversation.
//
// It promises that a retry under the same client id is done once, that what one author sends stays in
// order also when the store refuses some of it for now, and that nobody learns from a refusal what a
// conversation contains in which they take no part. Every method returns after the commit.
//
// It leaves the rules to core/conversation and core/acd, the append to the router, and who may call which
// method to gateway/api.
package desk
