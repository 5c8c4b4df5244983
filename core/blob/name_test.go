package blob_test

import (
	"mime"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/parley-gateway/parley/core/blob"
)

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"a.pdf":                           "a.pdf",
		"":                                "file",
		".":                               "file",
		"..":                              "file",
		"../../etc/passwd":                "passwd",
		`C:\Users\x\b.doc`:                "b.doc",
		"..\\..\\":                        "file",
		"a/":                              "file",
		"a\x00b.txt":                      "ab.txt",
		"line\r\nbreak.txt":               "linebreak.txt",
		".htaccess":                       "htaccess",
		"trailing. . .":                   "trailing",
		"CON":                             "_CON",
		"nul.txt":                         "_nul.txt",
		"com1.tar.gz":                     "_com1.tar.gz",
		"common.txt":                      "common.txt",
		"a:b*c?.txt":                      "a_b_c_.txt",
		"rtl\u202etxt.exe":                "rtltxt.exe",
		"z\u200bero.txt":                  "zero.txt",
		"\xff\xfe.txt":                    "_.txt",
		"日本語.txt":                         "日本語.txt",
		strings.Repeat("é", 200):          strings.Repeat("é", 75),
		strings.Repeat("x", 200) + ".pdf": strings.Repeat("x", 146) + ".pdf",
	} {
		if got := blob.CleanName(in); got != want {
			t.Errorf("CleanName(%q): got %q, want %q", in, got, want)
		}
	}
}

func FuzzCleanName(f *testing.F) {
	for _, s := range []string{"a.pdf", "../..", "a\u202eb", "CON.txt", "\xff", strings.Repeat("é.", 100), `"; filename=x`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got := blob.CleanName(in)
		switch {
		case got == "" || got == "." || got == "..":
			t.Errorf("CleanName(%q) = %q", in, got)
		case strings.ContainsAny(got, `/\:*?"<>|`) || strings.ContainsFunc(got, unicode.IsControl):
			t.Errorf("CleanName(%q) = %q: forbidden characters", in, got)
		case !utf8.ValidString(got) || len(got) > 151:
			t.Errorf("CleanName(%q) = %q: %d bytes", in, got, len(got))
		case blob.CleanName(got) != got:
			t.Errorf("CleanName(%q) = %q, and again %q", in, got, blob.CleanName(got))
		}
		d := blob.Disposition(in, false)
		how, params, err := mime.ParseMediaType(d)
		if err != nil || how != "attachment" || params["filename"] != got {
			t.Errorf("Disposition(%q) = %s: parsed as %q %v, %v; want %q", in, d, how, params, err, got)
		}
	})
}
