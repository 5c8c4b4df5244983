package sms

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sms/segment"
)

const (
	// blobTTL is how long the carrier can fetch an attachment: as long as a message may by default
	// wait in the carrier's queue.
	blobTTL = 4 * time.Hour
	// leastTime is how much of a command's time must be left for an attempt.
	leastTime = time.Second
)

// Send implements sdk.Sender. It makes one attempt.
func (p *Plugin) Send(ctx context.Context, cmd *sdk.SendCommand) sdk.Result {
	a := p.account(cmd.Account)
	if a == nil {
		return sdk.Retry(sdk.KindInternal, "unknown_account", "the account is not configured", 0)
	}
	m, files, no := compose(a, cmd)
	if no == nil {
		no = p.link(ctx, m, files)
	}
	if no != nil {
		p.count.sent(no, 0)
		return *no
	}
	if until, ok := ctx.Deadline(); ok && time.Until(until) < leastTime {
		return sdk.Retry(sdk.KindTemporary, "deadline", "no time left for an attempt", 0)
	}
	try := &attempt{to: m.to, media: len(m.media), body: fingerprint(m.body), smart: fingerprint(segment.Smart(m.body))}
	m.begin = func(ctx context.Context) error {
		err := cmd.Begin(ctx)
		if err == nil {
			p.memory.begin(cmd.ID, try, time.Now())
		}
		return err
	}
	r := a.carrier.send(ctx, m)
	p.memory.settle(cmd.ID, &r)
	_, _, segments := segment.Profile{Graphemes: true, Smart: a.settings.SmartEncoding}.Count(m.body)
	p.count.sent(&r, segments)
	p.learn(a, cmd, &r)
	return r
}

// compose makes the carrier's message from a command's parts, or a refusal for what the carrier
// would refuse.
func compose(a *account, cmd *sdk.SendCommand) (*outgoing, []sdk.BlobID, *sdk.Result) {
	no := func(kind sdk.ErrorKind, code, text string) (*outgoing, []sdk.BlobID, *sdk.Result) {
		r := sdk.Failed(kind, code, text)
		return nil, nil, &r
	}
	var texts []string
	var files []sdk.BlobID
	for _, part := range cmd.Parts {
		switch part := part.(type) {
		case sdk.Text:
			texts = append(texts, part.Text)
		case sdk.File:
			files = append(files, part.Blob)
		default:
			return no(sdk.KindContent, "unsupported_part", "a text message carries text and files only")
		}
	}
	m := &outgoing{command: cmd.ID, to: strings.TrimSpace(cmd.To), body: strings.Join(texts, "\n")}
	switch {
	case m.to == "":
		return no(sdk.KindAddress, "no_address", "the message has no recipient")
	case m.body == "" && len(files) == 0:
		return no(sdk.KindContent, "empty", "the message has neither text nor file")
	case utf8.RuneCountInString(m.body) > maxText:
		return no(sdk.KindContent, "21617", meaning(codeTooLong))
	case len(files) > 0 && !a.settings.Media:
		return no(sdk.KindContent, "media_off", "this account sends no files")
	case len(files) > maxMedia:
		return no(sdk.KindContent, "21623", meaning(21623))
	}
	m.callback = a.settings.callback(cmd.ID)
	return m, files, nil
}

// link makes the URLs from which the carrier may fetch the files.
func (p *Plugin) link(ctx context.Context, m *outgoing, files []sdk.BlobID) *sdk.Result {
	for _, id := range files {
		address, _, err := (*p.host.Load()).Blobs().URL(ctx, id, blobTTL, false)
		if err != nil {
			r := sdk.Retry(sdk.KindTemporary, "blob", "the file cannot be linked now", 0)
			if errors.Is(err, sdk.ErrNotFound) {
				r = sdk.Failed(sdk.KindContent, "blob", "the file is gone")
			}
			return &r
		}
		m.media = append(m.media, address)
	}
	return nil
}

// learn reports what an outcome says about the account and about the recipient's consent.
func (p *Plugin) learn(a *account, cmd *sdk.SendCommand, r *sdk.Result) {
	switch {
	case r.Outcome == sdk.OutcomeSent:
		p.health.report(a.id, nil)
	case r.Code == codeUnauthorized, r.Code == strconv.Itoa(codeAuth):
		p.ill(a, errUnauthorized)
	case r.Code == codeUnreachable, r.Code == codeNoAnswer:
		p.ill(a, errUnreachable)
	case r.Code == "21610":
		// The carrier knew of the opt-out before the gateway did. Nothing waits for this event: if
		// it is lost, the next attempt emits it again.
		err := (*p.host.Load()).EmitAsync(sdk.Event{
			Account: a.id, Thread: cmd.Thread, DedupeKey: string(cmd.ID) + ":consent", Body: sdk.OptOut{Out: true},
		}, func(sdk.Ack, error) {})
		if err != nil {
			p.log().Warn("opt-out not told", "command_id", string(cmd.ID), "account", string(a.id), "err", err)
		}
	}
}
