package drive

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// grant is the answer to a grant frame. code says why there is no grant; "" = there is one.
type grant struct {
	Grant   string `json:"grant"`
	URL     string `json:"url"` // the path to upload to
	RetryMS int64  `json:"retry_ms"`
	code    string
}

// Uploaded is a file that was accepted, as the part that a message refers to it by.
type Uploaded struct {
	Kind string       `json:"kind"`
	File UploadedFile `json:"file"`
}

// UploadedFile describes an accepted file to the visitor.
type UploadedFile struct {
	Blob   string `json:"blob"`
	Name   string `json:"name"`
	MIME   string `json:"mime"`
	Size   int64  `json:"size"`
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	Key    string `json:"key"`
}

// UploadError means that a file was not accepted.
type UploadError struct {
	Status     int    // HTTP status; 0 = there was no grant, so nothing was sent
	Code       string // the published code
	RetryMS    int64
	RetryAfter string // value of the Retry-After header
}

// Error names status and code.
func (e *UploadError) Error() string {
	return "drive: not uploaded: status " + strconv.Itoa(e.Status) + ", " + e.Code
}

// Upload asks for a grant and sends a file; the visitor must have a token, see Register. If the
// file is refused the error is an *UploadError.
func (c *Customer) Upload(ctx context.Context, name, mime string, body io.Reader) (u Uploaded, err error) {
	g, err := c.grant(ctx)
	if err != nil {
		return u, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+g.URL, body)
	if err != nil {
		return u, fmt.Errorf("drive: upload: %w", err)
	}
	req.Header.Set("Parley-Grant", g.Grant)
	req.Header.Set("Parley-File-Name", url.PathEscape(name))
	req.Header.Set("Content-Type", mime)
	resp, err := c.http.Do(req)
	if err != nil {
		return u, fmt.Errorf("drive: upload: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return u, fmt.Errorf("drive: upload: %w", err)
	}
	var answer struct {
		Uploaded
		Error struct {
			Code    string `json:"code"`
			RetryMS int64  `json:"retry_ms"`
		} `json:"error"`
	}
	bad := json.Unmarshal(b, &answer) // an answer of the gateway in the plugin's place is plain text
	if resp.StatusCode != http.StatusOK {
		return u, &UploadError{Status: resp.StatusCode, Code: answer.Error.Code, RetryMS: answer.Error.RetryMS, RetryAfter: resp.Header.Get("Retry-After")}
	}
	if bad != nil {
		return u, fmt.Errorf("drive: upload: %w", bad)
	}
	return answer.Uploaded, nil
}

// grant asks the server for a grant to upload one file.
func (c *Customer) grant(ctx context.Context) (grant, error) {
	ch := make(chan grant, 1)
	c.mu.Lock()
	c.asked++
	id := "grant-" + strconv.Itoa(c.asked)
	c.grants[id] = ch
	c.mu.Unlock()
	if err := c.send(map[string]any{"t": "grant", "id": id}); err != nil {
		return grant{}, err
	}
	select {
	case g := <-ch:
		if g.code != "" {
			return g, &UploadError{Code: g.code, RetryMS: g.RetryMS}
		}
		return g, nil
	case <-c.closed:
		return grant{}, ErrClosed
	case <-ctx.Done():
		return grant{}, fmt.Errorf("drive: no grant: %w", ctx.Err())
	}
}
