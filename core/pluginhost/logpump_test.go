package pluginhost_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/core/pluginhost"
)

func TestLogPump(t *testing.T) {
	tests := []struct {
		name, stderr string
		want         []string // texts that the log must contain
		lines        int
	}{
		{"json", `{"time":"2026-11-23T15:00:00Z","level":"WARN","msg":"slow","conversation_id":"c1","n":3}` + "\n", []string{`"level":"WARN"`, `"msg":"slow"`, `"conversation_id":"c1"`, `"n":3`, "2026-11-23T15:00:00Z"}, 1},
		{"plugin cannot pose as another", `{"level":"INFO","msg":"x","plugin":"other"}` + "\n", []string{`"msg":"x"`}, 1},
		{"plain", "hello\nworld", []string{`"level":"INFO"`, `"msg":"hello"`, `"msg":"world"`}, 2},
		{"panic", "fine\npanic: boom\n\ngoroutine 1\n", []string{`"level":"ERROR","msg":"panic: boom"`, `"level":"ERROR","msg":"goroutine 1"`}, 4},
		{"json without msg", `{"a":1}` + "\n", []string{`"msg":"{\"a\":1}"`}, 1},
		{"long", strings.Repeat("x", 200<<10) + "\nnext\n", []string{strings.Repeat("x", 64<<10), `"msg":"next"`}, 2},
		{"long attribute", `{"msg":"x","a":"` + strings.Repeat("ü", 2000) + `"}` + "\n", []string{`"a":"` + strings.Repeat("ü", 512) + `"`}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log syncBuffer
			pump := pluginhost.NewTestPump(log.logger())
			pump.ReadStderr(strings.NewReader(tt.stderr))
			got := log.String()
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("log of %.80q: got %.300s, want it to contain %.80s", tt.stderr, got, want)
				}
			}
			if n := strings.Count(got, "\n"); n != tt.lines {
				t.Errorf("log lines: got %d, want %d", n, tt.lines)
			}
			if strings.Contains(got, "other") {
				t.Errorf("log: got %s, want the plugin attribute dropped", got)
			}
		})
	}
}

// Of a flood only the burst is logged, and the rest is counted; the crash report must still have
// the last 64 KiB.
func TestLogPumpFlood(t *testing.T) {
	var log syncBuffer
	pump := pluginhost.NewTestPump(log.logger())
	pump.ReadStderr(strings.NewReader(strings.Repeat("flood flood flood\n", 20000) + "the end\n"))
	if n := strings.Count(log.String(), "\n"); n < 1000 || n > 2000 {
		t.Errorf("log lines: got %d of 20001, want about the burst of 1000", n)
	}
	if n := pump.Dropped(); n < 18000 {
		t.Errorf("dropped: got %d, want the rest", n)
	}
	tail := pump.Last()
	if len(tail) > 64<<10 || !strings.HasSuffix(tail, "the end\n") {
		t.Errorf("tail: got %d bytes ending in %q, want 64 KiB up to the end", len(tail), tail[max(0, len(tail)-20):])
	}
}

func TestHandshakeLine(t *testing.T) {
	for line, want := range map[string]bool{
		"1|1|unix|/tmp/x|grpc": true,
		"1|1|tcp|127.0.0.1:1|": true,
		"10|22|unix|x":         true,
		"1|1|unix":             false,
		"a|1|unix|x":           false,
		"|1|unix|x":            false,
		"1|1|pipe|x":           false,
		"starting ...":         false,
		"":                     false,
	} {
		if got := pluginhost.IsHandshake([]byte(line)); got != want {
			t.Errorf("handshake line %q: got %v, want %v", line, got, want)
		}
	}
	var log syncBuffer
	pump := pluginhost.NewTestPump(log.logger())
	var out bytes.Buffer
	pump.ReadStdout(strings.NewReader("welcome\n1|1|unix|/x|grpc\n1|1|unix|/y|grpc\nbye\n"), &out)
	if got := out.String(); got != "1|1|unix|/x|grpc\n" {
		t.Errorf("forwarded: got %q, want the first handshake line only", got)
	}
	if n := strings.Count(log.String(), "\n"); n != 3 {
		t.Errorf("logged: got %d lines, want the other 3", n)
	}
}

func FuzzLogPump(f *testing.F) {
	f.Add([]byte("{\"msg\":\"x\",\"level\":\"DEBUG+3\"}\npanic: x\n"))
	f.Add([]byte("1|1|unix|x\n\xff\xfe"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var log syncBuffer
		pump := pluginhost.NewTestPump(log.logger())
		pump.ReadStderr(bytes.NewReader(text))
		pump.ReadStdout(bytes.NewReader(text), io.Discard)
	})
}

func FuzzMetrics(f *testing.F) {
	f.Add([]byte("# TYPE a counter\na 1\na{b=\"c\"} 2\n"))
	f.Add([]byte("# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n# TYPE h_count counter\nh_count 3\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		n, consistent := pluginhost.ConvertMetrics("x", text)
		if n > 1000 {
			t.Errorf("series: got %d, want at most 1000", n)
		}
		_ = consistent // inconsistent series are left out of the scrape
	})
}
