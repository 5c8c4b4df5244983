// Package sessionwork carries out what the sessions inside conversations, calls and tools, ask of
// plugins and plugins of them (docs/decisions/0031). It starts and ends tools, brings people's acts to them,
// turns what plugins say of calls and tools into commands of core/conversation, decides which commands a
// call needs, and finds out what became of sessions whose process is gone.
//
// It promises that a session is in the log before a plugin hears of it, so that a process that dies leaves
// none behind that nobody knows; that a session whose process is gone ends as lost or is taken up
// by the plugin's next generation; that a tool learns of every end of its sessions that it did not cause; and
// that no digits, values or panels get into logs, metrics or errors.
//
// It leaves to core/conversation what a session is and what it does to its conversation, to the router the
// mailboxes and appends, to core/outbox the way of a call's commands to the plugin, and to gateway/api who may
// ask for what beyond taking part.
//
// Its lock guards the list of sessions alone. It is never held while the router or a plugin is called.
package sessionwork
