// Package blob keeps attachments (DESIGN.md 7 "Blobs"). The content goes to a
// bucket (a folder, later an object store), the row to the directory.
//
// What it promises: nothing is ever written in clear; what a file is, its
// content decides, not its name; only allowed types are taken; pictures lose
// their metadata (place, device, owner) and what is hidden behind their end;
// a file that was changed or cut short on disk does not open; what no message
// uses goes with the conversation that it was uploaded to, or after a day; what
// a committed message names stays (see LogKey); a full disk refuses uploads and
// nothing else.
//
// Each attachment has a random content key of its own. It lies, with the
// name, in the row, sealed under the data key of the owning conversation (or
// a data key of the attachment's own): destroying that key erases the
// attachment, wherever copies of the file are.
//
// It leaves to others who may see a file (gateway/api, plugins' pages), and
// whose an attachment is: that the log decides.
package blob
