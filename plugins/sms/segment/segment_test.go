package segment_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/plugins/sms/segment"
)

// counted is the expected result for a text.
type counted struct {
	Text     *string `json:"text"` // the text after smart encoding
	Encoding string  `json:"encoding"`
	Units    int     `json:"units"`
	Segments int     `json:"segments"`
	Parts    []int   `json:"parts"`
}

type vector struct {
	Name   string  `json:"name"`
	Text   *string `json:"text"`
	Repeat []struct {
		Text string `json:"text"`
		N    int    `json:"n"`
	} `json:"repeat"`
	Encoding  string   `json:"encoding"`
	Units     int      `json:"units"`
	Segments  int      `json:"segments"`
	Parts     []int    `json:"parts"`
	Smart     *counted `json:"smart"`
	Graphemes *counted `json:"graphemes"`
	Ref16     *counted `json:"ref16"`
}

func (v *vector) text() string {
	if v.Text != nil {
		return *v.Text
	}
	var b strings.Builder
	for _, r := range v.Repeat {
		b.WriteString(strings.Repeat(r.Text, r.N))
	}
	return b.String()
}

func vectors(tb testing.TB) []vector {
	tb.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		tb.Fatal(err)
	}
	var file struct {
		Vectors []vector `json:"vectors"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		tb.Fatal(err)
	}
	if len(file.Vectors) == 0 {
		tb.Fatal("no vectors")
	}
	return file.Vectors
}

func sizes(parts []segment.Part) []int {
	var out []int
	for _, p := range parts {
		out = append(out, p.Units)
	}
	return out
}

// TestVectors checks the figures of SPEC N10-N15.
func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			whole := counted{Encoding: v.Encoding, Units: v.Units, Segments: v.Segments, Parts: v.Parts}
			check(t, segment.Profile{}, v.text(), whole)
			for profile, want := range map[segment.Profile]*counted{
				{Smart: true}: v.Smart, {Graphemes: true}: v.Graphemes, {Reference16: true}: v.Ref16,
			} {
				if want == nil {
					continue
				}
				full := *want
				if full.Encoding == "" { // the expected result is for the same text under another rule
					full.Encoding, full.Units = v.Encoding, v.Units
				}
				check(t, profile, v.text(), full)
			}
		})
	}
}

func check(t *testing.T, p segment.Profile, text string, want counted) {
	t.Helper()
	m := p.Split(text)
	if m.Encoding.String() != want.Encoding || m.Units != want.Units || len(m.Parts) != want.Segments {
		t.Errorf("%+v: got %s, %d units, %d segments; want %s, %d, %d",
			p, m.Encoding, m.Units, len(m.Parts), want.Encoding, want.Units, want.Segments)
	}
	if diff := cmp.Diff(want.Parts, sizes(m.Parts)); want.Parts != nil && diff != "" {
		t.Errorf("%+v: parts (-want +got)\n%s", p, diff)
	}
	if e, units, segments := p.Count(text); e != m.Encoding || units != m.Units || segments != len(m.Parts) {
		t.Errorf("%+v: Count says %s, %d, %d; Split %s, %d, %d", p, e, units, segments, m.Encoding, m.Units, len(m.Parts))
	}
	if want.Text != nil && join(m.Parts) != *want.Text {
		t.Errorf("%+v: text %q, want %q", p, join(m.Parts), *want.Text)
	}
}

func join(parts []segment.Part) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

// TestGraphemeRuleDefault: for a text without a result of its own for grapheme clusters, that rule
// changes nothing.
func TestGraphemeRuleDefault(t *testing.T) {
	for _, v := range vectors(t) {
		if v.Graphemes != nil {
			continue
		}
		_, _, want := segment.Profile{}.Count(v.text())
		if _, _, got := (segment.Profile{Graphemes: true}).Count(v.text()); got != want {
			t.Errorf("%s: %d segments by clusters, want %d", v.Name, got, want)
		}
	}
}

func TestAlphabet(t *testing.T) {
	const basic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	const extension = "\f^{}\\[~]|€"
	if n := utf8.RuneCountInString(basic); n != 127 { // 128 without ESC
		t.Fatalf("%d characters in the test's alphabet, want 127", n)
	}
	for r := rune(0); r <= 0xFFFF; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		want, units := segment.GSM7, 1
		switch {
		case strings.ContainsRune(extension, r):
			units = 2
		case !strings.ContainsRune(basic, r):
			want = segment.UCS2
		}
		if e, n, _ := (segment.Profile{}).Count(string(r)); e != want || n != units {
			t.Errorf("%U: got %s, %d, want %s, %d", r, e, n, want, units)
		}
	}
}

func TestSmart(t *testing.T) {
	for from, to := range map[string]string{
		"plain [text] ~":         "plain [text] ~",
		"«a»":                    `"a"`,
		"a\u2013b":               "a-b",
		"½ of it":                "1/2 of it",
		"\u2039x\u203A":          ">x<",
		"a\u200Bb\x00c":          "abc",
		"ＡＢ１２":                   "AB12",
		"ａｂ":                     "ａｂ",
		"ᴀʙꞯᴢ":                   "ABQZ",
		"（［｛｝］）":                 "([{}])",
		"áçí stay":               "áçí stay",
		"bad \xff byte":          "bad \xff byte",
		"written out \uFFFD too": "written out \uFFFD too",
		"\u20Acx\u2026":          "€x...",
		"":                       "",
	} {
		if got := segment.Smart(from); got != to {
			t.Errorf("%q: got %q, want %q", from, got, to)
		}
	}
}

func FuzzSplit(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.text(), true, false, false)
		f.Add(v.text(), false, true, true)
	}
	f.Fuzz(func(t *testing.T, text string, ref16, graphemes, smart bool) {
		p := segment.Profile{Reference16: ref16, Graphemes: graphemes, Smart: smart}
		m := p.Split(text)
		want := text
		if smart {
			want = segment.Smart(text)
		}
		if got := join(m.Parts); got != want {
			t.Fatalf("parts join to %q, want %q", got, want)
		}
		single, part := p.Limits(m.Encoding)
		limit := single
		if len(m.Parts) > 1 {
			limit = part
			if m.Units <= single {
				t.Errorf("%d parts though %d units fit into one", len(m.Parts), m.Units)
			}
		}
		sum := 0
		for i, one := range m.Parts {
			sum += one.Units
			if one.Units > limit {
				t.Errorf("part %d has %d units, the limit is %d", i, one.Units, limit)
			}
			if utf8.ValidString(want) && !utf8.ValidString(one.Text) {
				t.Errorf("part %d cuts a character", i)
			}
			if _, n, _ := (segment.Profile{}).Count(one.Text); m.Encoding == segment.GSM7 && n != one.Units {
				t.Errorf("part %d: %d units by itself, %d in the message", i, n, one.Units)
			}
		}
		if sum != m.Units {
			t.Errorf("parts have %d units, the message %d", sum, m.Units)
		}
		if e, units, segments := p.Count(text); e != m.Encoding || units != m.Units || segments != len(m.Parts) {
			t.Errorf("Count says %s, %d, %d; Split %s, %d, %d", e, units, segments, m.Encoding, m.Units, len(m.Parts))
		}
		if again := segment.Smart(want); smart && again != want {
			t.Errorf("smart encoding goes on: %q becomes %q", want, again)
		}
	})
}

func BenchmarkCount(b *testing.B) {
	for name, text := range map[string]string{
		"gsm7 160":  strings.Repeat("Hello it's ", 15)[:160],
		"gsm7 1600": strings.Repeat("a", 1600),
		"ucs2 1600": strings.Repeat("я", 1600),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _, _ = segment.Profile{}.Count(text)
			}
		})
	}
}

func BenchmarkSplit(b *testing.B) {
	text := strings.Repeat("я😀", 500)
	for name, p := range map[string]segment.Profile{"characters": {}, "clusters": {Graphemes: true}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = p.Split(text)
			}
		})
	}
}
