package sms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
)

const (
	// fetchAttempts is after how many attempts an attachment is given up that the
	// carrier does not give: the host's schedule makes that some four minutes. The
	// text waits for it. Attempts that the gateway could not store are not among them.
	fetchAttempts = 9
	// storeMargin is how long before the command's deadline an attachment is given
	// up that the gateway cannot store. The carrier was told that it was taken, so
	// it is tried as long as the command lives; after the deadline the text would
	// be lost, too.
	storeMargin = time.Hour
	// maxFile bounds one attachment, in bytes. The largest that the carrier
	// takes on any channel is 16 MB.
	maxFile = 16 << 20
)

// item is a text from a customer with attachments, between the webhook and
// its processing.
type item struct {
	Sid   string       `json:"sid"`
	IDs   []string     `json:"ids"`
	From  string       `json:"from"`
	Name  string       `json:"name,omitempty"`
	Text  string       `json:"text,omitempty"`
	Media []attachment `json:"media,omitempty"`
	At    int64        `json:"at,omitempty"` // received, in microseconds; 0 = not known
}

// attachment is one that lies with the carrier.
type attachment struct {
	URL  string `json:"url"`
	MIME string `json:"mime,omitempty"`
}

// text is the message's text as parts. A message with neither text nor
// attachment is something, too: it is kept as what it is.
func (it *item) text() []sdk.Part {
	switch {
	case it.Text != "":
		return []sdk.Part{sdk.Text{Text: it.Text}}
	case len(it.Media) == 0:
		return []sdk.Part{sdk.Unsupported{Kind: "empty"}}
	}
	return nil
}

func (it *item) message(parts []sdk.Part) sdk.Message {
	return sdk.Message{From: sdk.Address{Address: it.From, Name: it.Name}, Parts: parts, ProviderIDs: it.IDs}
}

// unavailable stands in for an attachment that cannot be had.
func unavailable(m attachment, reason string) sdk.Part {
	raw, err := json.Marshal(map[string]string{"reason": reason, "mime": clip(clean(m.MIME), 128)})
	if err != nil {
		raw = nil // two short strings always encode
	}
	return sdk.Unsupported{Kind: "media", Raw: raw}
}

// Process implements sdk.Processor: it fetches the attachments of a message
// and emits it. Emitting again under the same key is harmless, so a crash in
// the middle neither loses nor doubles a message.
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
	parts := it.text()
	key, ids := it.Sid+":message", it.IDs
	if cmd.Attempt > fetchAttempts && it.Text != "" {
		// The text has waited long enough for the picture: it goes by itself. What
		// waits for a full store must not stop messaging (FT12). From this attempt on
		// there are two messages, each under a key of its own, whatever a crash repeats.
		if res, ok := emit(ctx, host, a, &it, key, it.message(parts)); !ok {
			return res
		}
		parts, key, ids = nil, it.Sid+":attachments", nil
	}
	for i, m := range it.Media {
		file, err := p.keep(ctx, host, a, &it, i)
		if err == nil {
			p.count.fetched("stored")
			parts = append(parts, file)
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
		parts = append(parts, unavailable(m, err.reason))
	}
	m := it.message(parts)
	m.ProviderIDs = ids // of the second message none: they name the first
	if len(parts) > 0 {
		if res, ok := emit(ctx, host, a, &it, key, m); !ok {
			return res
		}
	}
	p.ours.forget(it.Sid)
	return sdk.Sent(it.IDs...)
}

// emit gives the gateway a message of the customer's. Not ok: the result to end
// this attempt with.
func emit(ctx context.Context, host sdk.Host, a *account, it *item, key string, m sdk.Message) (res sdk.Result, ok bool) {
	ev := sdk.Event{Account: a.id, Thread: sdk.ThreadID(it.From), DedupeKey: key, Body: m}
	if it.At != 0 {
		ev.ReceivedTime = time.UnixMicro(it.At)
	}
	if _, err := host.Emit(ctx, ev); err != nil {
		if no, ok := errors.AsType[*sdk.RefusedError](err); ok {
			return sdk.Failed(sdk.KindContent, no.Code, "the gateway refused the message"), false
		}
		return sdk.Retry(sdk.KindTemporary, "emit", "the gateway did not take the message now", 0), false
	}
	return res, true
}

// tally counts, of each message, the attempts of this process whose attachment the
// gateway could not store. Of more than maxAttempts messages some are forgotten.
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

// keep fetches one attachment and stores it.
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

// asMediaError finds a *mediaError in err; anything else is worth another try.
func asMediaError(err error) *mediaError {
	if e, ok := errors.AsType[*mediaError](err); ok {
		return e
	}
	return &mediaError{reason: "unavailable"}
}

// bounded reads at most left bytes and fails at the next.
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

// fileName names an attachment: carriers send none.
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
