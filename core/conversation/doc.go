// Package conversation holds the nouns and the rules of Parley: what a
// conversation is, which events make it up, and which commands may add events
// to it. It is pure: Decide and Apply do no I/O, read no clock, start no
// goroutine and never look into message bodies (DESIGN.md 1.2). It imports
// nothing else of ours.
//
// Decide(state, command, now) gives events or a refusal with a published Code;
// State.Apply folds events; Encode and DecodeHead are their form in the log.
// What it promises, tested with random commands:
//
//   - An open conversation has a bot, a live routing request or a joined agent,
//     or is parked with its owner, so none is ever forgotten.
//   - The fold of the stored events equals the live state, to the byte of its JSON.
//     Times are therefore UTC and whole milliseconds.
//   - Every timer is derived: State.NextDeadline says when Tick next has
//     something to do, and a Tick at that time always has an event.
//   - A conversation is concluded exactly when it has ended, no agent is in wrap-up, and
//     no message waits unread in an agent's Recent.
//
// The one thing outside the fold is State.Touch: a customer who types moves the
// inactivity clock of the live state without an event for each keystroke.
//
// It leaves to others who may give a command (gateway/api, core/router), where
// events are stored (core/eventlog), and what goes to customers and agents.
package conversation
