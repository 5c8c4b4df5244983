package sms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
)

const (
	// fetchAttempts is after how many attempts an attachment is given up that the carrier does not
	// deliver; by the host's schedule they take some four minutes. The text waits for the
	// attachment. Attempts that failed because the gateway could not store do not count.
	fetchAttempts = 9
	// storeMargin is how long before the command's deadline an attachment is given up that the
	// gateway cannot store. The carrier was told that the attachment was taken, so it is tried
	// nearly until the deadline; after the deadline the text would be lost, too.
	storeMargin = time.Hour
	// maxFile bounds one attachment, in bytes. The largest that the carrier accepts on any channel
	// has 16 MB.
	maxFile = 16 << 20
)

// item is a customer's text with attachments, from the webhook until the attachments are fetched.
type item struct {
	Sid   string       `json:"sid"`
	IDs   []string     `json:"ids"`
	From  string       `json:"from"`
	Name  string       `json:"name,omitempty"`
	Text  string       `json:"text,omitempty"`
	Media []attachment `json:"media,omitempty"`
	At    int64        `json:"at,omitempty"` // when it was received, in microseconds; 0 = not known
}

// attachment is an attachment that the carrier still stores.
type attachment struct {
	URL  string `json:"url"`
	MIME string `json:"mime,omitempty"`
}

// text is the message's text as parts. A message with neither text nor attachment becomes an
// Unsupported part, so that it is not lost.
func (it *item) text() []sdk.Part {
	switch {
	case it.Text != "":
		return []sdk.Part{sdk.Text{Text: it.Text}}
	case len(it.Media) == 0:
		return []sdk.Part{sdk.Unsupported{Kind: "empty"}}
	}
	return nil
}

func (it *item) message(parts []sdk.Part, ids []string) sdk.Message {
	return sdk.Message{From: sdk.Address{Address: it.From, Name: it.Name}, Parts: parts, ProviderIDs: ids}
}

// unavailable is the part in place of an attachment that cannot be fetched.
func unavailable(m attachment, reason string) sdk.Part {
	raw, err := json.Marshal(map[string]string{"reason": reason, "mime": clip(clean(m.MIME), 128)})
	if err != nil {
		raw = nil // cannot happen: two short strings always encode
	}
	return sdk.Unsupported{Kind: "media", Raw: raw}
}

// Process implements sdk.Processor: it fetches the attachments of a message and emits the message.
// A message that is emitted again has the same key, so a crash in between neither loses nor doubles
// it.
func (p *Plugin) Process(ctx context.Context, cmd *sdk.ProcessCommand) sdk.Result {
	a := p.account(cmd.Account)
	if a == nil {
		return sdk.Retry(sdk.KindInternal, "unknown_account", "the account is not configured", 0)
	}
	var it item
	if err := json.Unmarshal(cmd.Opaque, &it); err != nil || it.Sid == "" || it.From == "" {
		return sdk.Failed(sdk.KindInternal, "malformed", "not an item of this plugin")
	}
	host := *p.host.Load()
	apart := cmd.Attempt > fetchAttempts && it.Text != ""
	if apart {
		// The text has waited long enough for the picture and is sent without it, because a full
		// store must not stop messaging (FT12).
		if _, res, ok := emit(ctx, host, a, &it, it.textKey(), it.message(it.text(), it.IDs)); !ok {
			return res
		}
	}
	var files []sdk.Part
	for i, m := range it.Media {
		file, err := p.keep(ctx, host, a, &it, i)
		if err == nil {
			p.count.fetched("stored")
			files = append(files, file)
			continue
		}
		if err.ours && (cmd.Deadline.IsZero() || time.Until(cmd.Deadline) > storeMargin) {
			p.ours.add(it.Sid)
			p.count.fetched("retry")
			return sdk.Retry(sdk.KindTemporary, err.reason, "the attachment cannot be stored now", 0)
		}
		most := uint32(fetchAttempts)
		if !err.ours {
			most += p.ours.of(it.Sid)
		}
		if !err.final && cmd.Attempt < most {
			p.count.fetched("retry")
			return sdk.Retry(sdk.KindTemporary, err.reason, "the attachment cannot be fetched now", 0)
		}
		p.count.fetched("given_up")
		host.Logger().Warn("attachment given up; the message goes on without it",
			"account", string(a.id), "command_id", string(cmd.ID), "attempt", cmd.Attempt, "reason", err.reason)
		files = append(files, unavailable(m, err.reason))
	}
	if !apart {
		ids := it.IDs
		if len(files) > 0 {
			ids = append(slices.Clone(ids), it.filesKey())
		}
		known, res, ok := emit(ctx, host, a, &it, it.textKey(), it.message(append(it.text(), files...), ids))
		if !ok {
			return res
		}
		// The gateway may know the text from an attempt that sent it alone: the number of this
		// attempt can be lower than that of an earlier one, after the gateway went down.
		apart = known && it.Text != ""
	}
	if apart && len(files) > 0 {
		if _, res, ok := emit(ctx, host, a, &it, it.filesKey(), it.message(files, nil)); !ok {
			return res
		}
	}
	p.ours.forget(it.Sid)
	return sdk.Sent(it.IDs...)
}

// textKey is the dedupe key of a message with the text.
func (it *item) textKey() string { return it.Sid + ":message" }

// filesKey is the dedupe key of a message with the attachments alone. A message with text and
// attachments has it among its ids, so that the gateway takes neither part a second time.
func (it *item) filesKey() string { return it.Sid + ":attachments" }

// emit emits a customer's message. known: the gateway already had a message with that key or one of
// its ids. If not ok, the attempt must end with res.
func emit(ctx context.Context, host sdk.Host, a *account, it *item, key string, m sdk.Message) (known bool, res sdk.Result, ok bool) {
	ev := sdk.Event{Account: a.id, Thread: sdk.ThreadID(it.From), DedupeKey: key, Body: m}
	if it.At != 0 {
		ev.ReceivedTime = time.UnixMicro(it.At)
	}
	ack, err := host.Emit(ctx, ev)
	if err != nil {
		if no, ok := errors.AsType[*sdk.RefusedError](err); ok {
			return false, sdk.Failed(sdk.KindContent, no.Code, "the gateway refused the message"), false
		}
		return false, sdk.Retry(sdk.KindTemporary, "emit", "the gateway did not take the message now", 0), false
	}
	return ack.Duplicate, res, true
}

// tally counts for each message how many attempts of this process failed because the gateway could
// not store an attachment. With more than maxAttempts messages some are forgotten.
type tally struct {
	mu sync.Mutex
	n  map[string]uint32
}

func (t *tally) add(sid string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[string]uint32{}
	}
	for other := range t.n {
		if len(t.n) < maxAttempts || t.n[sid] > 0 {
			break
		}
		delete(t.n, other)
	}
	t.n[sid]++
}

func (t *tally) of(sid string) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n[sid]
}

func (t *tally) forget(sid string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.n, sid)
}

// keep fetches one attachment and stores it at the gateway.
func (p *Plugin) keep(ctx context.Context, host sdk.Host, a *account, it *item, index int) (sdk.File, *mediaError) {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	m, err := a.carrier.fetch(ctx, it.Media[index].URL)
	if err != nil {
		return sdk.File{}, asMediaError(err)
	}
	defer func() { _ = m.Close() }()
	mime := m.mime
	if mime == "" {
		mime = it.Media[index].MIME
	}
	file, err := host.Blobs().Put(ctx, sdk.BlobMeta{
		Account: a.id, Thread: sdk.ThreadID(it.From), Name: fileName(it.Sid, index, mime), MIME: mime,
	}, &bounded{r: m, left: maxFile})
	switch {
	case err == nil:
		return file, nil
	case errors.Is(err, sdk.ErrTooLarge):
		return sdk.File{}, &mediaError{reason: "too_large", final: true}
	case errors.Is(err, sdk.ErrDenied):
		return sdk.File{}, &mediaError{reason: "refused", final: true}
	case errors.Is(err, sdk.ErrNotDurable), errors.Is(err, sdk.ErrHostGone):
		return sdk.File{}, &mediaError{reason: "not_stored", ours: true}
	default:
		return sdk.File{}, asMediaError(err)
	}
}

// asMediaError returns the *mediaError in err; any other error may be temporary.
func asMediaError(err error) *mediaError {
	if e, ok := errors.AsType[*mediaError](err); ok {
		return e
	}
	return &mediaError{reason: "unavailable"}
}

// bounded reads at most left bytes, and fails if there are more.
type bounded struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, &mediaError{reason: "too_large", final: true}
	}
	return n, err
}

// fileName makes up a name for an attachment, since carriers send none.
func fileName(sid string, index int, mime string) string {
	kind, _, _ := strings.Cut(mime, ";")
	suffix := ""
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "image/jpeg", "image/jpg":
		suffix = ".jpg"
	case "image/png":
		suffix = ".png"
	case "image/gif":
		suffix = ".gif"
	case "image/webp":
		suffix = ".webp"
	case "image/heic":
		suffix = ".heic"
	case "video/mp4":
		suffix = ".mp4"
	case "video/3gpp":
		suffix = ".3gp"
	case "video/quicktime":
		suffix = ".mov"
	case "audio/mpeg":
		suffix = ".mp3"
	case "audio/amr":
		suffix = ".amr"
	case "audio/ogg":
		suffix = ".ogg"
	case "application/pdf":
		suffix = ".pdf"
	case "text/vcard", "text/x-vcard":
		suffix = ".vcf"
	case "text/plain":
		suffix = ".txt"
	}
	return fmt.Sprintf("%s-%d%s", clip(clean(sid), 34), index+1, suffix)
}
