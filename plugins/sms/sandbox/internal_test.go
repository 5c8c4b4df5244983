package sandbox

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSegments(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       int
	}{
		{"empty", "", 1},
		{"160", strings.Repeat("a", 160), 1},
		{"161", strings.Repeat("a", 161), 2},
		{"307", strings.Repeat("a", 307), 3},
		{"153 euros never split a pair", strings.Repeat("€", 153), 3},
		{"70", strings.Repeat("я", 70), 1},
		{"135", strings.Repeat("я", 135), 3},
		{"67 emoji never split a pair", strings.Repeat("😀", 67), 3},
		{"one odd character", strings.Repeat("a", 70) + "я", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := segments(tt.text); got != tt.want {
				t.Errorf("segments = %d, want %d", got, tt.want)
			}
		})
	}
}

func FuzzSegments(f *testing.F) {
	f.Add("hello €")
	f.Add("\xff\x00")
	f.Fuzz(func(t *testing.T, text string) {
		n := segments(text)
		if n < 1 || n > 1+utf8.RuneCountInString(text)/33 {
			t.Errorf("%d segments for %d characters", n, utf8.RuneCountInString(text))
		}
	})
}

func FuzzOverrides(f *testing.F) {
	f.Add("https://gw.example.test/in?a=1#rc=3&rp=5xx,ct&tt=9000")
	f.Add("#ct=99")
	f.Fuzz(func(t *testing.T, raw string) {
		bare, o, err := parseOverrides(raw)
		if strings.Contains(bare, "#") || !strings.HasPrefix(raw, bare) {
			t.Errorf("bare URL %q of %q", bare, raw)
		}
		if err == nil && (o.retries < 0 || o.retries > 5 || o.connect <= 0 || o.read <= 0 || o.total <= 0) {
			t.Errorf("overrides %+v of %q", o, raw)
		}
	})
}

func FuzzTwiML(f *testing.F) {
	f.Add("text/xml", "<Response><Message><Body>a</Body></Message></Response>")
	f.Add("text/plain", "ok")
	f.Fuzz(func(t *testing.T, kind, body string) {
		replies, code := parseTwiML(answer{kind, []byte(body)})
		if code != 0 && len(replies) != 0 {
			t.Errorf("%d replies in spite of %d", len(replies), code)
		}
	})
}
