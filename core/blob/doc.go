// Package blob keeps attachments (DESIGN.md 7 "Blobs"). The content goes to a
// bucket (a folder, later an object store), the row to a table of the
// installation's database, over the handle that is handed in.
//
// What it promises: nothing is ever written in clear; a file's content decides what type it is, not
// its name; only allowed types are accepted; pictures lose their metadata (place, device, owner)
// and any data hidden after their end; a file that was changed or cut short on disk cannot be
// opened; an attachment that no message uses is removed with the conversation to which it was
// uploaded, or after a day; an attachment that a committed message names stays (see LogKey); a full
// disk stops uploads and nothing else.
//
// Each attachment has a random content key of its own. This key is stored, with the name, in the
// row, sealed under the data key of the owning conversation (or a data key made for the
// attachment): destroying that data key erases the attachment, wherever copies of the file are.
//
// It leaves it to others who may see a file (gateway/api, plugins' pages), and to the log to which
// message an attachment belongs.
package blob
