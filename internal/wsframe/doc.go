// Package wsframe checks the frames that a client sends over a WebSocket (RFC
// 6455) before the library that decodes them sees them, and writes those that a
// server sends.
//
// The library in use (lxzan/gws) takes a payload's length for a signed number
// before it compares it with its limit, so a 64-bit length with the top bit set
// makes it slice out of range, which ends the process (PR19). A Check refuses that
// frame and every other that the protocol forbids, and counts frames one by one,
// empty fragments too, so that a socket's rate limit holds for all of them (FT24).
// It promises to allocate nothing, to copy no payload and never to look at one:
// it follows frame boundaries only.
//
// The library writes each frame by itself. Append and Begin put many into one buffer
// for one write to the connection (docs/decisions/0020). They promise to allocate
// nothing while the buffer has room.
//
// What a whole message says is left to its reader, and so are limits on what waits
// to be written.
package wsframe
