package proxy

import "strings"

// maxDecodings bounds how often a path is decoded to find encoded segments. No path of the
// gateway's own is encoded twice.
const maxDecodings = 4

// crooked reports whether the decoded path rest, below /p/<plugin>/, has a segment that some server
// resolves or leaves out: a dot segment or an empty one, also one that is still encoded, or is
// separated by an encoded slash or a backslash. The access check uses the path as it is written, so
// such a request could reach a route of the plugin that was not checked (ASVS 8.3.1).
func crooked(rest string) bool {
	for range maxDecodings {
		if hasCrookedSegment(rest) {
			return true
		}
		next := decode(rest)
		if next == rest {
			return false
		}
		rest = next
	}
	return true
}

func hasCrookedSegment(path string) bool {
	path = strings.ReplaceAll(path, `\`, "/")
	for more := true; more; {
		var segment string
		segment, path, more = strings.Cut(path, "/")
		segment, _, _ = strings.Cut(segment, ";") // cuts off parameters, which some servers remove before they resolve the path
		if segment == "." || segment == ".." || segment == "" && more {
			return true
		}
	}
	return false
}

// decode undoes one level of percent-encoding and leaves all other text as it is.
func decode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if high, low := unhex(s[i+1]), unhex(s[i+2]); high >= 0 && low >= 0 {
				b.WriteByte(byte(high<<4 | low))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
