package system_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

const uploadSites = `
services:
  - {name: Uploads, teams: [Front Office]}
accounts:
  - {name: narrow, plugin: webchat, service: Uploads, settings: {site: narrow, visitor_upload_mb_per_hour: 1}}
  - {name: shared, plugin: webchat, service: Uploads, settings: {site: shared, exempt_addresses: [], visitor_upload_mb_per_hour: 5, address_upload_mb_per_hour: 1}}
`

// uploads is a site that takes files.
type uploads struct {
	t    *testing.T
	d    *demo
	site string
}

func (d *demo) uploads(t *testing.T, site string) *uploads {
	u := &uploads{t, d, site}
	eventually(t, "site "+site+" to be served", 20*time.Second, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		c, err := drive.DialCustomer(ctx, drive.CustomerOptions{URL: d.chatURL(), Site: site})
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	return u
}

// visit opens a socket from an address as a visitor ("" = a new one, in a chat).
func (u *uploads) visit(from, token string, heard func([]byte)) *drive.Customer {
	u.t.Helper()
	ctx := bounded(u.t, 30*time.Second)
	c, err := drive.DialCustomer(ctx, drive.CustomerOptions{URL: u.d.chatURL(), Site: u.site, From: from, Token: token, OnEvent: heard})
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(c.Close)
	if token == "" {
		if _, err := c.Start(ctx, "start", map[string]string{"first_name": "U", "message": "hello"}); err != nil {
			u.t.Fatal(err)
		}
	}
	return c
}

// unknown hides a body's length, so that it comes in chunks.
type unknown struct{ io.Reader }

func textFile(size int) []byte { return bytes.Repeat([]byte("x"), size) }

// refusedUpload checks what a client sees of a limit that is used up. status 0:
// the grant is refused, before anything is sent.
func refusedUpload(t *testing.T, what string, err error, status int) {
	t.Helper()
	e, ok := errors.AsType[*drive.UploadError](err)
	if !ok {
		t.Errorf("%s: got %v, want a refusal", what, err)
		return
	}
	if e.Status != status || e.Code != "quota" || e.RetryMS <= 0 || e.RetryMS > 3_600_000 {
		t.Errorf("%s: got status %d, code %q, retry in %d ms; want %d, quota, within the hour", what, e.Status, e.Code, e.RetryMS, status)
	}
	if after := strconv.FormatInt((e.RetryMS+999)/1000, 10); status != 0 && e.RetryAfter != after {
		t.Errorf("%s: got Retry-After %q, want %q for %d ms", what, e.RetryAfter, after, e.RetryMS)
	}
}

// stored is how many bytes of attachments are on the disk.
func (d *demo) stored() (n int64) {
	d.t.Helper()
	err := filepath.WalkDir(filepath.Join(d.data, "blobs"), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // of an upload that failed
			return nil
		}
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return n
}

// sealed is what n bytes take on the disk: 16 more for each 64 KiB begun.
func sealed(n int64) int64 { return n + (n/(64<<10)+1)*16 }

// FT22: what one visitor may upload in an hour holds however often it comes back,
// to the byte; what was within it stays, goes into a message, and can be read.
func TestUploadsOfOneVisitor(t *testing.T) {
	d := startDemo(t, "")
	d.apply(uploadSites)
	u := d.uploads(t, "narrow")
	ctx := bounded(t, 2*time.Minute)
	events := make(chan []byte, 100)
	c := u.visit("", "", nil)
	var kept []any
	for n := range 12 {
		c.Close()
		c = u.visit("", c.Token, nil)
		file, err := c.Upload(ctx, fmt.Sprintf("file %d.txt", n), "text/plain", bytes.NewReader(textFile(300_000)))
		if n >= 3 {
			refusedUpload(t, fmt.Sprintf("upload %d, announced", n), err, http.StatusTooManyRequests)
			continue
		}
		if err != nil {
			t.Fatalf("upload %d, within the limit: %v", n, err)
		}
		kept = append(kept, file)
	}
	last, err := c.Upload(ctx, "last.txt", "text/plain", bytes.NewReader(textFile(100_000)))
	if err != nil {
		t.Fatalf("an upload of what was left, after refused ones that were not read: %v", err)
	}
	kept = append(kept, last)
	c.Close()
	c = u.visit("", c.Token, func(frame []byte) { events <- bytes.Clone(frame) })
	_, err = c.Upload(ctx, "more.txt", "text/plain", bytes.NewReader(textFile(1)))
	refusedUpload(t, "a byte more", err, 0)
	if got, most := d.stored(), 3*sealed(300_000)+sealed(100_000); got != most {
		t.Errorf("%d bytes are on the disk, want %d", got, most)
	}
	if _, err := c.Send(ctx, "files", kept...); err != nil {
		t.Fatalf("a message of what was within the limit: %v", err)
	}
	for name, size := range map[string]int{"file 0.txt": 300_000, "file 2.txt": 300_000, "last.txt": 100_000} {
		if got := u.read(ctx, c, events, name); !bytes.Equal(got, textFile(size)) {
			t.Errorf("%s: %d bytes are read, want the %d that were sent", name, len(got), size)
		}
	}
	if _, err := u.visit("", "", nil).Upload(ctx, "other.txt", "text/plain", bytes.NewReader(textFile(300_000))); err != nil {
		t.Errorf("another visitor's upload: %v", err)
	}
}

// message is an event that shows files.
type message struct {
	Body struct {
		Parts []struct {
			Kind string
			File struct{ Blob, Name string }
		}
	}
	FileKeys map[string]string `json:"file_keys"`
}

// read fetches a file of the chat's last message, as a page does.
func (u *uploads) read(ctx context.Context, c *drive.Customer, events chan []byte, name string) []byte {
	u.t.Helper()
	for {
		var frame []byte
		select {
		case frame = <-events:
		case <-ctx.Done():
			u.t.Fatalf("no message with %s", name)
		}
		var m message
		if err := json.Unmarshal(frame, &m); err != nil {
			u.t.Fatal(err)
		}
		for _, p := range m.Body.Parts {
			if p.File.Name != name {
				continue
			}
			events <- frame // for the next one
			ask, _ := json.Marshal(map[string]string{"t": "file", "id": "f", "blob": p.File.Blob, "key": m.FileKeys[p.File.Blob]})
			if err := c.Write(ask); err != nil {
				u.t.Fatal(err)
			}
			return u.fetch(ctx, c)
		}
	}
}

// fetch waits for the answer to a file frame and gets what it names.
func (u *uploads) fetch(ctx context.Context, c *drive.Customer) []byte {
	u.t.Helper()
	for {
		select {
		case b := <-c.Other():
			var f struct{ T, Code, URL string }
			if err := json.Unmarshal(b, &f); err != nil || f.T == "error" {
				u.t.Fatalf("a file's address: %s", b)
			}
			if f.T != "file" {
				continue
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL, nil)
			if err != nil {
				u.t.Fatal(err)
			}
			resp, err := drive.HTTPClient().Do(req)
			if err != nil {
				u.t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			got, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusOK {
				u.t.Fatalf("a file: status %d, %v", resp.StatusCode, err)
			}
			return got
		case <-ctx.Done():
			u.t.Fatal("no answer to a file frame")
		}
	}
}

// FT22, FT24: a new visitor is no new address. What visitors of one address
// store is bounded by the address, also when they upload at once and do not say
// how much comes; another address is not concerned.
func TestUploadsOfOneAddress(t *testing.T) {
	d := startDemo(t, "")
	d.apply(uploadSites)
	u := d.uploads(t, "shared")
	ctx := bounded(t, 2*time.Minute)
	const here, elsewhere = "127.9.1.1", "127.9.1.2"
	for n := range 6 {
		_, err := u.visit(here, "", nil).Upload(ctx, "a.txt", "text/plain", bytes.NewReader(textFile(300_000)))
		switch {
		case n >= 3:
			refusedUpload(t, fmt.Sprintf("visitor %d", n), err, http.StatusTooManyRequests)
		case err != nil:
			t.Fatalf("visitor %d, within the address's limit: %v", n, err)
		}
	}
	visitors := make([]*drive.Customer, 8)
	for i := range visitors {
		visitors[i] = u.visit(here, "", nil)
	}
	var wg sync.WaitGroup
	for i, c := range visitors {
		wg.Go(func() {
			_, err := c.Upload(ctx, "b.txt", "text/plain", unknown{strings.NewReader(strings.Repeat("y", 300_000))})
			if e, ok := errors.AsType[*drive.UploadError](err); ok && e.Status == 0 {
				refusedUpload(t, fmt.Sprintf("visitor %d at once, no grant", i), err, 0)
			} else {
				refusedUpload(t, fmt.Sprintf("visitor %d at once", i), err, http.StatusTooManyRequests)
			}
		})
	}
	wg.Wait()
	want := 3 * sealed(300_000)
	eventually(t, "disk with no more than was taken", 20*time.Second, func() bool { return d.stored() == want })
	if _, err := u.visit(elsewhere, "", nil).Upload(ctx, "c.txt", "text/plain", bytes.NewReader(textFile(300_000))); err != nil {
		t.Errorf("an upload from another address: %v", err)
	}
	if got := d.stored(); got != want+sealed(300_000) {
		t.Errorf("%d bytes are on the disk, want %d", got, want+sealed(300_000))
	}
}
