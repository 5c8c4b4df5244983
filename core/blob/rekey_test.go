package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/vault"
)

// A conversation that gets another data key keeps its attachments, also those whose upload runs at that
// moment, and loses those that no message names any more, with the keys that were theirs alone.
func TestRekey(t *testing.T) {
	var key atomic.Int64
	f := open(t, func(o *blob.Options) {
		o.ConversationKey = func(context.Context, conversation.ConversationID) (int64, error) { return key.Load(), nil }
	})
	key.Store(f.key)
	owner := blob.Owner{Conversation: f.conv}
	put := func(name string, o blob.Owner) conversation.File {
		t.Helper()
		file, err := f.Put(t.Context(), o, name, "", bytes.NewReader(pdf(2000)))
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	gone, apart := put("gone.pdf", owner), put("apart.pdf", blob.Owner{Account: f.account})
	apartRow, err := f.rows.Row(t.Context(), apart.Blob)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var kept []conversation.File
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := range 15 {
				file, err := f.Put(t.Context(), owner, fmt.Sprintf("%d-%d.pdf", w, i), "", bytes.NewReader(pdf(100)))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				kept = append(kept, file)
				mu.Unlock()
			}
		})
	}
	drop := []conversation.BlobID{gone.Blob, apart.Blob}
	for range 4 {
		old := key.Load()
		next, err := f.vault.Assign()
		if err != nil {
			t.Fatal(err)
		}
		key.Store(next) // the log names it from here on
		for range 2 {   // repeated, as after a crash
			if err := f.Rekey(t.Context(), f.conv, next, []int64{old}, drop); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.vault.Destroy(t.Context(), old); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	for _, file := range kept {
		if content, err := f.read(file.Blob); err != nil || len(content) != int(file.Size) {
			t.Errorf("%s: %d bytes, %v, want %d", file.Name, len(content), err, file.Size)
		}
	}
	for _, id := range drop {
		if row, err := f.rows.Row(t.Context(), id); err != nil || row.State != blob.StateDeleted || len(row.SealedName) > 0 {
			t.Errorf("what no message names any more: %+v, %v", row, err)
		}
	}
	if _, err := f.vault.Seal(apartRow.KeyID, nil, nil); !errors.Is(err, vault.ErrDestroyed) {
		t.Errorf("the key of its own: %v, want it destroyed", err)
	}
	if n, want := len(f.objects()), len(kept); n != want {
		t.Errorf("%d files in the folder, want %d", n, want)
	}
}
