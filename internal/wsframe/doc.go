// Package wsframe checks the frames that a client sends over a WebSocket (RFC
// 6455) before the library that decodes them sees them. The library in use
// (lxzan/gws) takes a payload's length for a signed number before it compares
// it with its limit, so a 64-bit length with the top bit set makes it slice
// out of range, which ends the process (PR19). A Check refuses that frame and
// every other that the protocol forbids, and counts frames one by one, empty
// fragments too, so that a socket's rate limit holds for all of them (FT24).
//
// It promises to allocate nothing, to copy no payload and never to look at one:
// it follows frame boundaries only. What a whole message says is left to its reader.
package wsframe
