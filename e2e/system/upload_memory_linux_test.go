package system_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	bin "encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

const roomySite = `
services:
  - {name: Uploads, teams: [Front Office]}
accounts:
  - {name: roomy, plugin: webchat, service: Uploads, settings: {site: roomy, visitor_upload_mb_per_hour: 10000, visitor_uploads_per_hour: 10000}}
`

// What uploads may add to a process at its peak. The gateway decodes one picture at
// a time, which takes up to 96 MiB, and holds its bytes twice; the rest is room for
// what the collector has not taken back yet (88 MiB were measured with eight pictures
// at once). The plugin passes bytes on.
const (
	gatewayPeak = 192 << 20
	pluginPeak  = 64 << 20
)

// FT22: uploads without end, of very many parts, pictures that are small files and
// large in memory, and compressed bodies take no more memory than stated, also
// several of each at once, by visitors and agents; what is too large is cut off
// near its limit.
func TestUploadsAreBoundedInMemory(t *testing.T) {
	d := startDemo(t, "")
	d.apply(roomySite)
	u := d.uploads(t, "roomy")
	a := d.uploader(t, u)
	good := bytes.NewBufferString("just a text")
	if status := a.upload("a.txt", good); status != http.StatusCreated {
		t.Fatalf("an agent's upload: %d, want 201", status)
	}
	gateway, plugin := d.child("serve"), d.child("webchat")
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := io.CopyN(z, zeros{}, 256<<20); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	pictures := map[string]struct {
		name    string
		content []byte
		visitor []int
		agent   []int
	}{
		"PNG of 20,000 x 20,000":                 {"a.png", png1Bit(20_000), []int{http.StatusRequestEntityTooLarge}, []int{http.StatusRequestEntityTooLarge}},
		"PNG as large as is decoded":             {"a.png", pngRGBA(4_800), []int{http.StatusOK}, []int{http.StatusCreated}},
		"progressive JPEG of 7,000 x 7,000":      {"a.jpg", progressiveJPEG(7_000), []int{http.StatusOK}, []int{http.StatusCreated}},
		"compressed body that is no such upload": {"a.png", bomb.Bytes(), []int{http.StatusUnsupportedMediaType}, []int{http.StatusUnsupportedMediaType}},
	}
	for name, attack := range map[string]func(t *testing.T){
		"upload without end": func(t *testing.T) {
			body := newEndless(300 << 20)
			if status := u.upload(t, "a.txt", body); status != http.StatusRequestEntityTooLarge {
				t.Errorf("a visitor's: %d, want 413", status)
			}
			if sent := (300 << 20) - body.left.Load(); sent > 64<<20 {
				t.Errorf("a visitor's: %d MiB were taken, the limit is 20", sent>>20)
			}
			body = newEndless(300 << 20)
			if status := a.upload("a.txt", body); status != http.StatusRequestEntityTooLarge {
				t.Errorf("an agent's: %d, want 413", status)
			}
			if sent := (300 << 20) - body.left.Load(); sent > 64<<20 {
				t.Errorf("an agent's: %d MiB were taken, the limit is 20", sent>>20)
			}
		},
		"very many parts": func(t *testing.T) {
			part := "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nx\r\n"
			if status := a.post(strings.NewReader(strings.Repeat(part, 200_000))); status != http.StatusBadRequest && status != http.StatusUnprocessableEntity {
				t.Errorf("200,000 parts: %d, want 400 or 422", status)
			}
			headers := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n" + strings.Repeat("X-Many: 0123456789\r\n", 500_000) + "\r\nx\r\n--b--\r\n"
			if status := a.post(strings.NewReader(headers)); status != http.StatusBadRequest && status != http.StatusUnprocessableEntity && status != http.StatusRequestEntityTooLarge {
				t.Errorf("a part of 500,000 headers: %d, want 400, 413 or 422", status)
			}
		},
		"compressed bodies": func(t *testing.T) {
			for path, kind := range map[string]string{"/api/v1/login": "application/json", "/hooks/" + d.textLine().Account: "application/x-www-form-urlencoded"} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.info.PublicURL+path, bytes.NewReader(bomb.Bytes()))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Content-Type", kind)
				req.Header.Set("Content-Encoding", "gzip")
				if status := statusOf(req); !slices.Contains([]int{400, 401, 403, 413, 415, 422}, status) {
					t.Errorf("%s: %d, want it refused", path, status)
				}
			}
		},
		"pictures": func(t *testing.T) {
			for name, p := range pictures {
				if status := u.upload(t, p.name, bytes.NewReader(p.content)); !slices.Contains(p.visitor, status) {
					t.Errorf("%s, a visitor's: %d, want one of %d", name, status, p.visitor)
				}
				if status := a.upload(p.name, bytes.NewReader(p.content)); !slices.Contains(p.agent, status) {
					t.Errorf("%s, an agent's: %d, want one of %d", name, status, p.agent)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := [2]int64{peakFrom(t, gateway), peakFrom(t, plugin)}
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() { attack(t) })
			}
			wg.Wait()
			grown := [2]int64{peak(t, gateway) - before[0], peak(t, plugin) - before[1]}
			t.Logf("at the peak the gateway has grown by %d MiB from %d, the plugin by %d from %d", grown[0]>>20, before[0]>>20, grown[1]>>20, before[1]>>20)
			if grown[0] > gatewayPeak || grown[1] > pluginPeak {
				t.Errorf("the gateway has grown by %d MiB, the plugin by %d; want at most %d and %d", grown[0]>>20, grown[1]>>20, gatewayPeak>>20, pluginPeak>>20)
			}
		})
	}
	if d.child("serve") != gateway || d.child("webchat") != plugin {
		t.Error("a process was started anew")
	}
	d.chatWorks("after")
}

// upload sends a visitor's file, over a socket of a new visitor; 0: no answer.
func (u *uploads) upload(t *testing.T, name string, body io.Reader) int {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c, err := drive.DialCustomer(ctx, drive.CustomerOptions{URL: u.d.chatURL(), Site: u.site})
	if err != nil {
		t.Error(err)
		return 0
	}
	defer c.Close()
	if err := c.Register(ctx); err != nil {
		t.Error(err)
		return 0
	}
	_, err = c.Upload(ctx, name, "application/octet-stream", unknown{body})
	if e, ok := errors.AsType[*drive.UploadError](err); ok {
		return e.Status
	}
	if err != nil {
		t.Error(err)
		return 0
	}
	return http.StatusOK
}

// uploadingAgent is an agent in a chat.
type uploadingAgent struct {
	t          *testing.T
	url, token string
}

// uploader lets an agent take a chat of the site.
func (d *demo) uploader(t *testing.T, u *uploads) *uploadingAgent {
	t.Helper()
	ctx := bounded(t, time.Minute)
	token := d.token("ana")
	offers := make(chan drive.Offer, 16)
	agent, err := drive.DialAgent(ctx, drive.AgentOptions{
		URL: "ws" + strings.TrimPrefix(d.info.PublicURL, "http") + "/api/v1/stream", Token: token, OnOffer: func(o drive.Offer) { offers <- o },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(agent.Close)
	u.visit("", "", nil)
	if err := agent.Do(ctx, "ready", nil, nil); err != nil {
		t.Fatal(err)
	}
	select {
	case o := <-offers:
		if err := agent.Do(ctx, "accept", map[string]any{"offer": o.Offer}, nil); err != nil {
			t.Fatal(err)
		}
		return &uploadingAgent{t, d.info.PublicURL + "/api/v1/conversations/" + o.Conversation + "/files", token}
	case <-ctx.Done():
		t.Fatal("no chat was offered")
		return nil
	}
}

// upload sends an agent's file.
func (a *uploadingAgent) upload(name string, body io.Reader) int {
	return a.post(io.MultiReader(
		strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\""+name+"\"\r\n\r\n"), body, strings.NewReader("\r\n--b--\r\n")))
}

func (a *uploadingAgent) post(body io.Reader) int {
	req, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, a.url, unknown{body})
	if err != nil {
		a.t.Error(err)
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	return statusOf(req)
}

// statusOf sends a request; 0: no answer.
func statusOf(req *http.Request) int {
	client := drive.HTTPClient()
	client.Timeout = 2 * time.Minute
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// endless is a text that is far longer than anybody takes.
// It may still be read when the answer is there.
type endless struct{ left atomic.Int64 }

func newEndless(n int64) *endless {
	e := &endless{}
	e.left.Store(n)
	return e
}

func (e *endless) Read(p []byte) (int, error) {
	n := min(int64(len(p)), e.left.Load())
	if n <= 0 {
		return 0, io.EOF
	}
	copy(p, bytes.Repeat([]byte("x"), int(n)))
	e.left.Add(-n)
	return int(n), nil
}

// peakFrom makes the kernel measure a process's peak from now on, and gives what
// it has now, in bytes (proc(5), clear_refs).
func peakFrom(t *testing.T, pid int) int64 {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		t.Skipf("the peak cannot be measured here: %v", err)
	}
	return peak(t, pid)
}

var vmHWM = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB`)

func peak(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	m := vmHWM.FindSubmatch(text)
	if err != nil || m == nil {
		t.Fatalf("no peak of process %d: %v", pid, err)
	}
	kB, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return kB << 10
}

// png1Bit and pngRGBA are square pictures of one colour; the file is a thousandth
// of what decoding it takes.
func png1Bit(side int) []byte { return onePNG(side, 1, 0, (side+7)/8) }
func pngRGBA(side int) []byte { return onePNG(side, 8, 6, 4*side) }

func onePNG(side int, depth, colour byte, row int) []byte {
	chunk := func(kind string, body []byte) []byte {
		b := append(bin.BigEndian.AppendUint32(nil, uint32(len(body))), kind...)
		b = append(b, body...)
		return bin.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
	}
	size := bin.BigEndian.AppendUint32(bin.BigEndian.AppendUint32(nil, uint32(side)), uint32(side))
	var pixels bytes.Buffer
	z := zlib.NewWriter(&pixels)
	_, _ = io.CopyN(z, zeros{}, int64(side)*int64(1+row)) // to memory: does not fail
	_ = z.Close()
	return slices.Concat([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", append(size, depth, colour, 0, 0, 0)), chunk("IDAT", pixels.Bytes()), chunk("IEND", nil))
}

// progressiveJPEG has no picture: a decoder takes what it needs for one first.
func progressiveJPEG(side int) []byte {
	size := bin.BigEndian.AppendUint16(bin.BigEndian.AppendUint16(nil, uint16(side)), uint16(side))
	return slices.Concat([]byte("\xFF\xD8\xFF\xC2\x00\x11\x08"), size, []byte("\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"),
		[]byte("\xFF\xDA\x00\x0C\x03\x01\x00\x02\x00\x03\x00\x00\x00\x00\x00\x00\xFF\xD9"))
}
