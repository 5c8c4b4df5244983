package rules_test

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// machineBound describes text that is true on one machine only and must not be in the repository:
// paths of a user's home, addresses of a private registry or mirror. The words are split here so
// that this file passes its own test. A file is searched with the expression only if it contains
// one of the needles, in this case: regular expressions over lock files take half a minute with the
// race detector.
var machineBound = []struct {
	what    string
	needles []string
	re      *regexp.Regexp
}{
	{
		"path of a home", []string{"/ro" + "ot/", "/ho" + "me/", "/Us" + "ers/", "/wo" + "rk/"},
		regexp.MustCompile(`(?:^|[\s"'=(:` + "`" + `])/(?:ro` + `ot|ho` + `me/\w+|Us` + `ers/\w+|wo` + `rk)/\w`),
	},
	{
		"path of a Windows home", []string{`\Us` + `ers\`},
		regexp.MustCompile(`[A-Za-z]:\\+Us` + `ers\\+\w\w`),
	},
	{
		"address of a module or package registry",
		[]string{"regi" + "stry.", "proxy.go" + "lang", "goproxy.", "arti" + "factory", "verd" + "accio", "nexus"},
		regexp.MustCompile(`regi` + `stry\.(?:npmjs|yarnpkg|npmmirror)|proxy\.go` + `lang|goproxy\.\w|arti` + `factory|verd` + `accio|nexus\d*/repo` + `sitory`),
	},
	{
		"resolved address in a lock file", []string{`"resol` + `ved"`},
		regexp.MustCompile(`"resol` + `ved":\s*"(?:https?|file):`),
	},
	{
		"address in a private network", []string{"//10.", "//192.168.", "//172."},
		regexp.MustCompile(`https?://(?:10\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+[:/]`),
	},
}

func TestNoMachineBoundText(t *testing.T) {
	files(t, func(name string) {
		if path.Base(name) == ".npmrc" {
			t.Errorf("%s: settings of a package manager belong to the machine", name)
		}
		text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
		if err != nil {
			t.Error(err)
			return
		}
		if bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 {
			return // a binary file, such as a picture or a font
		}
		for _, m := range machineBound {
			if !slices.ContainsFunc(m.needles, func(n string) bool { return bytes.Contains(text, []byte(n)) }) {
				continue
			}
			if at := m.re.FindIndex(text); at != nil {
				t.Errorf("%s:%d: %s: %q", name, 1+bytes.Count(text[:at[0]], []byte("\n")), m.what, text[at[0]:at[1]])
			}
		}
	})
}
