// Package bots tells plugins which conversations their bots are to answer, and ends a bot's reading
// when it takes part no longer (DESIGN.md 7: a bot is a subscription with audience bot).
//
// It promises that a plugin which becomes ready is told of every conversation of this node in which
// one of its accounts is the bot, and later of each one that it joins or leaves; that what a full
// plugin was not told is told again when it has room; and that a bot's subscription delivers
// everything up to the event by which the bot left, and nothing after it.
//
// It leaves to core/conversation when a bot takes part, and what happens when it is silent; to the
// router to start conversations with bots and to carry out what they do; and to readers to deliver
// records. Notices are hints: nothing here is durable, since the conversations' states tell
// everything again.
package bots
