package blob

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the longest name kept, in bytes of UTF-8.
const maxName = 150

// CleanName makes a name safe to show and to save under: the last part of a path, one line, without
// characters that systems forbid or that turn the direction of text around, not a reserved name on
// any system, at most 150 bytes with its ending kept. If nothing is left, the name is "file".
func CleanName(name string) string {
	name = strings.ToValidUTF8(name, "_")
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == utf8.RuneError, unicode.Is(unicode.Co, r):
			return -1 // Cf: direction marks, zero-width characters
		case unicode.IsSpace(r):
			return ' '
		case strings.ContainsRune(`:*?"<>|`, r):
			return '_'
		default:
			return r
		}
	}, name)
	name = strings.Trim(name, " .")
	if len(name) > maxName {
		ext := path.Ext(name)
		if len(ext) > 12 {
			ext = ""
		}
		name = cut(name[:len(name)-len(ext)], maxName-len(ext))
		name = strings.Trim(name, " .") + ext
	}
	stem, _, _ := strings.Cut(name, ".")
	if reserved(strings.ToUpper(strings.TrimSpace(stem))) {
		name = "_" + name
	}
	if name == "" {
		return "file"
	}
	return name
}

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// reserved reports whether a name is a device name of Windows
// (learn.microsoft.com/windows/win32/fileio/naming-a-file).
func reserved(stem string) bool {
	switch stem {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	return len(stem) == 4 && (strings.HasPrefix(stem, "COM") || strings.HasPrefix(stem, "LPT")) && stem[3] >= '0' && stem[3] <= '9'
}

// nameFor is a clean name whose ending fits the type: systems open a saved file by its ending,
// whatever type it was served with.
func nameFor(name string, k kind) string {
	name = CleanName(name)
	ext := strings.ToLower(path.Ext(name))
	for _, e := range k.exts {
		if ext == e {
			return name
		}
	}
	return CleanName(cut(name, maxName-len(k.exts[0])) + k.exts[0])
}

// Disposition is the Content-Disposition of a file (RFC 6266): the clean name in UTF-8, and in
// ASCII for clients that do not understand the UTF-8 form.
func Disposition(name string, inline bool) string {
	name = CleanName(name)
	how := "attachment"
	if inline {
		how = "inline"
	}
	ascii := strings.Map(func(r rune) rune {
		if r > '~' || r == '%' || r == ';' || r == '\'' {
			return '_'
		}
		return r
	}, name)
	if ascii == name {
		return fmt.Sprintf(`%s; filename="%s"`, how, name)
	}
	var b strings.Builder
	for i := range len(name) { // RFC 8187, attr-char
		c := name[i]
		if c < utf8.RuneSelf && (unicode.IsLetter(rune(c)) || unicode.IsDigit(rune(c)) || strings.IndexByte("!#$&+-.^_`|~", c) >= 0) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return fmt.Sprintf(`%s; filename="%s"; filename*=UTF-8''%s`, how, ascii, b.String())
}
