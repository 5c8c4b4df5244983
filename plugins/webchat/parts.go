package webchat

import (
	"regexp"
	"unicode/utf16"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// maxParts is the number of parts in one message.
const maxParts = 10

// clientIDShape is the form that ids chosen by clients must have.
var clientIDShape = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// codeError is what is wrong with a frame, as a published code (README.md).
type codeError string

func (e codeError) Error() string { return string(e) }

// Codes of errors in a client's frames.
const (
	errInvalid  codeError = "invalid"
	errTooLong  codeError = "too_long"
	errFileKey  codeError = "file_key"
	errNoParts  codeError = "empty"
	errTooMany  codeError = "too_many_parts"
	errClientID codeError = "client_id"
)

// readParts converts a client's parts to the contract's. A file part must be a file that this
// thread has uploaded.
func readParts(in []inPart, k keys, account sdk.AccountID, thread sdk.ThreadID) ([]sdk.Part, error) {
	if len(in) > maxParts {
		return nil, errTooMany
	}
	out := make([]sdk.Part, 0, len(in))
	for i := range in {
		part, err := readPart(&in[i], k, account, thread)
		if err != nil {
			return nil, err
		}
		out = append(out, part)
	}
	return out, nil
}

func readPart(p *inPart, k keys, account sdk.AccountID, thread sdk.ThreadID) (sdk.Part, error) {
	switch p.Kind {
	case "text":
		if p.Text == "" {
			return nil, errNoParts
		}
		if longerThan(p.Text, maxText) {
			return nil, errTooLong
		}
		return sdk.Text{Text: p.Text}, nil
	case "file":
		if p.File == nil {
			return nil, errInvalid
		}
		f := sdk.File{
			Blob: sdk.BlobID(p.File.Blob), Name: p.File.Name, MIME: p.File.MIME,
			Size: p.File.Size, Width: p.File.Width, Height: p.File.Height,
		}
		if !equal(p.File.Key, k.partKey(account, thread, f)) {
			return nil, errFileKey
		}
		return f, nil
	case "answer":
		if p.Answer == nil || p.Answer.Choice == "" || len(p.Answer.Choice) > 256 || len(p.Answer.Title) > 1024 {
			return nil, errInvalid
		}
		return sdk.Answer{Choice: p.Answer.Choice, Title: p.Answer.Title}, nil
	default:
		return nil, errInvalid
	}
}

// longerThan reports whether a text has more than limit UTF-16 units, as browsers count.
func longerThan(text string, limit int) bool {
	if len(text) <= limit {
		return false // each byte makes at most one unit
	}
	n := 0
	for _, r := range text {
		n += max(1, utf16.RuneLen(r))
	}
	return n > limit
}
