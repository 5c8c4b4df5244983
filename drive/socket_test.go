package drive_test

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// TestMalformedServerFrame: PR19, a server that sends a length with the top bit set ends this
// socket of the driver, and not the driver.
func TestMalformedServerFrame(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = c.Close() }()
		digest := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		_, _ = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n"+
			"\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00", base64.StdEncoding.EncodeToString(digest[:]))
		_, _ = rw.ReadByte() // reads the first byte of the client's hello
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if c, err := drive.DialCustomer(ctx, drive.CustomerOptions{URL: "ws" + strings.TrimPrefix(server.URL, "http"), Site: "demo"}); err == nil {
		c.Close()
		t.Error("a socket whose server sent no welcome but a malformed frame was opened")
	}
	if ctx.Err() != nil {
		t.Error("the driver waited for a welcome on a socket that had ended")
	}
}
