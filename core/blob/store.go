package blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/vault"
	"github.com/parley-gateway/parley/internal/quota"
)

// Errors. They are wrapped with the operation, never with names or content.
var (
	// ErrTooLarge: the file has more bytes than the account accepts. HTTP 413.
	ErrTooLarge = errors.New("blob: file too large")
	// ErrPixels: the picture has too many pixels. HTTP 413.
	ErrPixels = errors.New("blob: picture too large")
	// ErrType: the type is not accepted, or the content is not of the type that it claims to be.
	// HTTP 415.
	ErrType = errors.New("blob: type of file not taken")
	// ErrFull: no space left for attachments. HTTP 507.
	ErrFull = errors.New("blob: no space left")
	// ErrUnavailable: the place where attachments are stored cannot take or return them now. This
	// is the gateway's fault, whatever was sent. HTTP 503.
	ErrUnavailable = errors.New("blob: store is not available")
	// ErrQuota: the uploader has used up the limit of an hour; see QuotaError. HTTP 429.
	ErrQuota = errors.New("blob: uploads of this hour are used up")
	// ErrNotFound: there is no such attachment, or it is not ready, deleted, or another's. HTTP
	// 404.
	ErrNotFound = errors.New("blob: not found")
)

// Defaults of Options.
const (
	DefaultMaxBytes = 20 << 20
	DefaultReserve  = 256 << 20
	// OrphanAge is the age after which an attachment that no message names can no longer be named
	// by one. If the conversation to which it was uploaded ends before, it is removed then.
	OrphanAge = 24 * time.Hour
)

// Vault is what this package needs of core/vault.
type Vault interface {
	Assign() (int64, error)
	Seal(keyID int64, aad, plain []byte) ([]byte, error)
	Open(keyID int64, aad, sealed []byte) ([]byte, error)
	MAC(purpose string, parts ...[]byte) [32]byte
	Destroy(ctx context.Context, ids ...int64) error
}

// Records is what this package needs of core/directory.
type Records interface {
	Snapshot() *directory.Snapshot
}

// Options say where attachments are kept.
type Options struct {
	// Dir is the folder, made with mode 0700 if missing. It is used when Bucket is nil.
	Dir string
	// Bucket is an object store, which the Store closes.
	Bucket *blob.Bucket
	Rows   Rows
	Vault  Vault
	// Records tell what files an account accepts.
	Records Records
	// ConversationKey returns a conversation's data key, for an Owner without KeyID. Nil: such
	// attachments get a key of their own.
	ConversationKey func(ctx context.Context, id conversation.ConversationID) (int64, error)
	// Named asks the log for the conversation whose message names an attachment, or returns
	// ErrNotFound. Nil: only messages reported to Take name attachments.
	Named func(ctx context.Context, id conversation.BlobID) (conversation.ConversationID, error)
	// Over reports whether a conversation has ended or never existed, so that no message of it will
	// name an attachment. Nil: no conversation is over.
	Over func(ctx context.Context, id conversation.ConversationID) (bool, error)
	// MaxBytes is the largest file for accounts without a limit of their own. 0: DefaultMaxBytes.
	MaxBytes int64
	// MaxPixels is the number of pixels of the largest picture. 0: DefaultMaxPixels.
	MaxPixels int64
	// Reserve is how many bytes of Dir's file system must stay free, whatever is uploaded. 0:
	// DefaultReserve; negative: none.
	Reserve int64
	// UploaderFiles and UploaderBytes are how much one Owner.Uploader may upload within an hour, on
	// this node. 0: no limit.
	UploaderFiles, UploaderBytes int64
	// Now is the installation's time, by which links and orphans expire; nil: time.Now.
	Now func() time.Time

	Log      *slog.Logger          // nil discards the log
	Registry prometheus.Registerer // nil: no metrics
}

// Store keeps attachments. Safe for concurrent use.
type Store struct {
	opts    Options
	bucket  *blob.Bucket
	rows    Rows
	vault   Vault
	log     *slog.Logger
	looking chan struct{} // only one picture is checked at a time, since that takes much memory
	ended   chan conversation.ConversationID
	uploads *prometheus.CounterVec
	used    *quota.Ledger[usage]
}

// Open opens the store. It starts no goroutine; see Run.
func Open(o Options) (*Store, error) {
	if o.Rows == nil || o.Records == nil || o.Vault == nil {
		return nil, errors.New("blob: open: needs rows, records and a vault")
	}
	set(&o.MaxBytes, DefaultMaxBytes)
	set(&o.MaxPixels, DefaultMaxPixels)
	set(&o.Reserve, DefaultReserve)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{opts: o, bucket: o.Bucket, rows: o.Rows, vault: o.Vault, log: o.Log, looking: make(chan struct{}, 1),
		ended: make(chan conversation.ConversationID, maxEnded), used: quota.New[usage](maxUploaders),
		uploads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_uploads_total", Help: "Attachments offered to the store, by result.",
		}, []string{"result"}),
	}
	if s.bucket == nil {
		var err error
		if s.bucket, err = openDir(o.Dir); err != nil {
			return nil, fmt.Errorf("blob: open: %w", err)
		}
	}
	if o.Registry != nil {
		if err := o.Registry.Register(s.uploads); err != nil {
			return nil, errors.Join(fmt.Errorf("blob: open: %w", err), s.bucket.Close())
		}
	}
	return s, nil
}

func set(field *int64, def int64) {
	if *field == 0 {
		*field = def
	}
}

// Close closes the bucket.
func (s *Store) Close() error { return s.bucket.Close() }

// Owner says to whom an attachment belongs: to a conversation, or to an account until a message of
// any conversation there names it.
type Owner struct {
	Conversation conversation.ConversationID
	// Account is where the attachment came in or goes out; it owns the attachment when Conversation
	// is zero. Its limits hold in both cases. Zero: the store's own limits.
	Account conversation.AccountID
	// Thread, when not zero, is the only thread of the account whose messages may name the
	// attachment (vault.MAC, as the router computes it).
	Thread eventlog.Key
	// Uploader is the agent who uploads, and whose uploads within the hour are counted. Zero: the
	// upload is not counted.
	Uploader conversation.AgentID
	// KeyID is the conversation's data key. 0: see Options.ConversationKey.
	KeyID int64
}

// meta is the sealed part of a row.
type meta struct {
	Name string `json:"name"`
	Key  []byte `json:"key"` // the attachment's content key
}

func metaAAD(id conversation.BlobID) []byte { return append([]byte("blob/"), id[:]...) }

// Put stores an attachment; when it returns nil, the attachment is durable and ready. The type
// comes from the content: the type that the sender claims (the string after name) is ignored.
// Errors: ErrTooLarge, ErrPixels, ErrType, ErrFull, ErrUnavailable, a *QuotaError, ErrNotFound when
// the conversation has ended meanwhile, or the error of r.
func (s *Store) Put(ctx context.Context, o Owner, name, _ string, r io.Reader) (conversation.File, error) {
	f, err := s.put(ctx, o, name, r)
	s.uploads.WithLabelValues(result(err)).Inc()
	return f, err
}

func result(err error) string {
	for _, r := range []struct {
		err  error
		name string
	}{{nil, "ok"}, {ErrTooLarge, "too_large"}, {ErrPixels, "pixels"}, {ErrType, "type"}, {ErrFull, "full"}, {ErrUnavailable, "unavailable"}, {ErrQuota, "quota"}} {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	return "error"
}

func (s *Store) put(ctx context.Context, o Owner, name string, r io.Reader) (conversation.File, error) {
	limits := directory.FileLimits{MaxBytes: s.opts.MaxBytes}
	if a, ok := s.opts.Records.Snapshot().Account(o.Account); ok {
		limits.Types = a.Files.Types
		if a.Files.MaxBytes > 0 {
			limits.MaxBytes = a.Files.MaxBytes
		}
	}
	if err := s.take(o.Uploader, false, 1); err != nil {
		return conversation.File{}, fmt.Errorf("blob: put: %w", err)
	}
	body := &bounded{r: r, left: limits.MaxBytes, take: func(n int) error { return s.take(o.Uploader, true, int64(n)) }}
	head := make([]byte, sniffLength)
	n, err := io.ReadFull(body, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return conversation.File{}, fmt.Errorf("blob: put: %w", err)
	}
	head = head[:n]
	k, ok := sniff(head, limits.Types)
	if !ok || n == 0 {
		return conversation.File{}, fmt.Errorf("blob: put: %w", ErrType)
	}
	if err := s.checkSpace(limits.MaxBytes); err != nil {
		return conversation.File{}, fmt.Errorf("blob: put: %w", whose(err, body))
	}
	row, m, err := s.begin(ctx, o, nameFor(name, k), k)
	if err != nil {
		return conversation.File{}, fmt.Errorf("blob: put: %w", whose(err, body))
	}
	if err := s.fill(ctx, &row, m, k, head, body); err != nil {
		s.discard(ctx, row.ID)
		return conversation.File{}, fmt.Errorf("blob: put: %w", whose(err, body))
	}
	return fileOf(row, m), nil
}

// begin writes the row of an upload.
func (s *Store) begin(ctx context.Context, o Owner, name string, k kind) (Row, meta, error) {
	row := Row{
		ID: conversation.NewID[conversation.BlobID](), Conversation: o.Conversation, Account: o.Account, KeyID: o.KeyID,
		MIME: k.mime, State: StateUploading, CreatedAt: s.opts.Now(),
	}
	if o.Thread != (eventlog.Key{}) {
		row.Thread = o.Thread[:]
	}
	m := meta{Name: name, Key: make([]byte, keySize)}
	_, _ = rand.Read(m.Key) // never fails (crypto/rand)
	var err error
	switch {
	case row.KeyID != 0:
	case !o.Conversation.IsZero() && s.opts.ConversationKey != nil:
		row.KeyID, err = s.opts.ConversationKey(ctx, o.Conversation)
	default:
		row.KeyID, err = s.vault.Assign()
	}
	if err != nil {
		return row, m, err
	}
	plain, err := json.Marshal(m)
	if err != nil {
		return row, m, err
	}
	row.SealedName, err = s.vault.Seal(row.KeyID, metaAAD(row.ID), plain)
	if vault.Lost(err) { // the conversation's key is lost: its next event will get another one
		if row.KeyID, err = s.vault.Assign(); err == nil {
			row.SealedName, err = s.vault.Seal(row.KeyID, metaAAD(row.ID), plain)
		}
	}
	if err != nil {
		return row, m, err
	}
	if err := s.rows.Add(ctx, row); err != nil {
		return row, m, err
	}
	return row, m, s.followKey(ctx, &row, plain)
}

// fill writes the content and makes the row ready.
func (s *Store) fill(ctx context.Context, row *Row, m meta, k kind, head []byte, body io.Reader) (err error) {
	upload := io.MultiReader(bytes.NewReader(head), body)
	if k.picture {
		err = s.fillPicture(ctx, row, m, upload)
	} else {
		row.Size, err = s.write(ctx, row.ID, m, streamContent, upload)
	}
	if err != nil {
		return err
	}
	row.State = StateReady
	return s.rows.Finish(ctx, *row) // ErrNotFound: the conversation has ended meanwhile
}

// fillPicture first stores the whole upload, sealed on disk, since a slow sender must not hold
// memory or a decoder; then it checks the picture.
func (s *Store) fillPicture(ctx context.Context, row *Row, m meta, upload io.Reader) error {
	size, err := s.write(ctx, row.ID, m, streamUpload, upload)
	if err != nil {
		return err
	}
	select {
	case s.looking <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.looking }()
	raw, err := s.readAll(ctx, row.ID, m, streamUpload, size)
	if err != nil {
		return err
	}
	p, err := look(row.MIME, raw, s.opts.MaxPixels)
	if err != nil {
		return err
	}
	row.Width, row.Height, row.Thumbnail = p.width, p.height, p.thumbnail != nil
	if row.Size, err = s.write(ctx, row.ID, m, streamContent, bytes.NewReader(p.content)); err != nil {
		return err
	}
	if row.Thumbnail {
		if _, err := s.write(ctx, row.ID, m, streamThumbnail, bytes.NewReader(p.thumbnail)); err != nil {
			return err
		}
	}
	return s.remove(ctx, row.ID, streamUpload)
}

// discard undoes a failed upload as far as possible now; Sweep does the rest.
func (s *Store) discard(ctx context.Context, id conversation.BlobID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.removeAll(ctx, id); err != nil {
		s.log.WarnContext(ctx, "cannot remove a failed upload", "err", err)
	}
	if err := s.rows.End(ctx, id); err != nil {
		s.log.WarnContext(ctx, "cannot mark a failed upload", "err", err)
	}
}

func fileOf(row Row, m meta) conversation.File {
	return conversation.File{Blob: row.ID, Name: m.Name, MIME: row.MIME, Size: row.Size, Width: row.Width, Height: row.Height}
}

// row reads a ready attachment's row and opens its sealed part.
func (s *Store) row(ctx context.Context, id conversation.BlobID) (Row, meta, error) {
	row, err := s.rows.Row(ctx, id)
	if errors.Is(err, ErrNotFound) || (err == nil && row.State != StateReady) {
		return row, meta{}, ErrNotFound
	}
	if err != nil {
		return row, meta{}, err
	}
	m, err := s.openMeta(row)
	return row, m, err
}

func (s *Store) openMeta(row Row) (m meta, err error) {
	plain, err := s.vault.Open(row.KeyID, metaAAD(row.ID), row.SealedName)
	if err != nil {
		return m, err
	}
	err = json.Unmarshal(plain, &m)
	return m, err
}

// Info describes a ready attachment and returns its row, which says to whom it belongs.
func (s *Store) Info(ctx context.Context, id conversation.BlobID) (conversation.File, Row, error) {
	row, m, err := s.row(ctx, id)
	if err == nil && !row.Used { // a message may name it although its row does not say so yet
		var named bool
		if named, err = s.followLog(ctx, id); named && err == nil {
			row, m, err = s.row(ctx, id)
		}
	}
	if err != nil {
		return conversation.File{}, row, fmt.Errorf("blob: info: %w", err)
	}
	return fileOf(row, m), row, nil
}

// Open opens a ready attachment; the caller closes the reader.
func (s *Store) Open(ctx context.Context, id conversation.BlobID) (conversation.File, *Reader, error) {
	row, m, err := s.row(ctx, id)
	if err != nil {
		return conversation.File{}, nil, fmt.Errorf("blob: open: %w", err)
	}
	r, err := s.reader(ctx, id, m, streamContent, row.Size)
	if err != nil {
		return conversation.File{}, nil, fmt.Errorf("blob: open: %w", err)
	}
	return fileOf(row, m), r, nil
}

// Delete removes an attachment for good; deleting it again is ErrNotFound.
func (s *Store) Delete(ctx context.Context, id conversation.BlobID) error {
	err := s.rows.End(ctx, id)
	if err == nil {
		err = s.removeAll(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("blob: delete: %w", err)
	}
	return nil
}

// Erase removes all attachments of a conversation and destroys the data keys that only they used:
// all but conversationKey, the conversation's own key.
func (s *Store) Erase(ctx context.Context, conv conversation.ConversationID, conversationKey int64) error {
	if _, err := s.Sweep(ctx); err != nil { // finds attachments whose row lacks the conversation, because of a kill after the commit
		return fmt.Errorf("blob: erase: %w", err)
	}
	rows, err := s.rows.OfConversation(ctx, conv)
	if err != nil {
		return fmt.Errorf("blob: erase: %w", err)
	}
	var keys []int64
	for _, row := range rows {
		if row.KeyID != conversationKey {
			keys = append(keys, row.KeyID)
		}
	}
	// Before the rows go: without them nobody would know the keys after an error.
	if err := s.vault.Destroy(ctx, keys...); err != nil {
		return fmt.Errorf("blob: erase: %w", err)
	}
	for _, row := range rows {
		if err := s.Delete(ctx, row.ID); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

// bounded reads at most left bytes; one byte more is ErrTooLarge. take counts the bytes read, and
// may end the reading with an error.
type bounded struct {
	r    io.Reader
	left int64
	take func(n int) error
	err  error // the error of reading r, if it failed
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	if full := b.take(n); full != nil {
		return 0, full
	}
	if b.left -= int64(n); b.left < 0 {
		return n, ErrTooLarge
	}
	return n, err
}

func isMissing(err error) bool { return gcerrors.Code(err) == gcerrors.NotFound }
