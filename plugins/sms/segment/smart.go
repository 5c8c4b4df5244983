package segment

import (
	"strings"
	"unicode/utf8"
)

// Smart replaces characters by similar ones of the GSM alphabet, as Twilio's smart encoding does
// before it counts (vendors' page of 2026-08): typographic quotes, dashes, spaces, full-width
// forms. Accented letters stay, since words would change without their accents. The result may be
// longer than the text.
func Smart(text string) string {
	var b strings.Builder
	done := 0 // the text before this index is in b
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if to, ok := lookAlike(r); ok {
			b.WriteString(text[done:i])
			b.WriteString(to)
			done = i + size
		}
		i += size
	}
	if done == 0 {
		return text
	}
	b.WriteString(text[done:])
	return b.String()
}

// lookAlike returns the replacement of r; false when r stays. Characters that look like their
// neighbours in this source are written as escapes.
func lookAlike(r rune) (string, bool) {
	switch r {
	case '«', '»', '\u201C', '\u201D', '\u201E', '\u201F', '\u02BA', '\u02EE', '\u275D', '\u275E', '\u301D', '\u301E', '\uFF02':
		return `"`, true
	case '\u2018', '\u2019', '\u201B', '\u02B9', '\u02BB', '\u02BC', '\u02BD', '\u02C8', '\u02CA', '\u02CB', '\u00B4', '`',
		'\u275B', '\u275C', '\u0313', '\u0314', '\uFE10', '\uFE11', '\uFF07':
		return "'", true
	case '\u2010', '\u2013', '\u2014', '\u2015', '\u2022', '\u2043', '\u23BC', '\u23BD', '\uFE63', '\uFF0D':
		return "-", true
	case '\u2026':
		return "...", true
	case '¼':
		return "1/4", true
	case '½':
		return "1/2", true
	case '¾':
		return "3/4", true
	case '÷', '\u2044', '\u2215', '\u29F8', '\u0337', '\u0338', '\uFF0F':
		return "/", true
	case '\u29F5', '\u29F9', '\u20E5', '\uFE68', '\uFF3C':
		return `\`, true
	case '\u2017', '\u0332', '\uFF3F':
		return "_", true
	case '\u20D2', '\u20D3', '\u2223', '\uFF5C', '\u23B8', '\u23B9', '\u23D0', '\u239C', '\u239F':
		return "|", true
	case '\u00A0', '\u2000', '\u2002', '\u2003', '\u2004', '\u2005', '\u2006', '\u2007', '\u2008', '\u2009', '\u200A',
		'\u202F', '\u205F', '\u3000', '\u0080', '\u008D', '\u0090', '\u009B', '\u009F':
		return "  ", true
	case '\u2001', '\u2028', '\u2029':
		return " ", true
	case '\t':
		return "       ", true
	case '\u200B', '\u2060', '\uFEFF', 0x00, 0x03, 0x04, 0x10, 0x11, 0x12, 0x13, 0x14, 0x17, 0x19:
		return "", true
	case '\u2039': // the published table has these two the wrong way round
		return ">", true
	case '\u203A':
		return "<", true
	case '\u203C':
		return "!!", true
	case '\u201A', '\u0326', '\u3001', '\uFE50', '\uFE51', '\uFF0C', '\uFF64':
		return ",", true
	case '\u3002', '\uFE52', '\uFF0E', '\uFF61':
		return ".", true
	case '\u02D0', '\u02F8', '\u2982', '\uA789', '\uFE13', '\uFF1A':
		return ":", true
	case '\u204F', '\uFE14', '\uFE54', '\uFF1B':
		return ";", true
	case '\u02C6', '\u0302', '\u1DCD', '\uFF3E':
		return "^", true
	case '\u02DC', '\u02F7', '\u0303', '\u0330', '\u0334', '\u223C', '\uFF5E':
		return "~", true
	case '\u01C3', '\uFE15', '\uFE57', '\uFF01':
		return "!", true
	case '\uFE16', '\uFE56', '\uFF1F':
		return "?", true
	}
	return lookAlikeSign(r)
}

// lookAlikeSign continues lookAlike with asterisks, brackets, small and full-width forms.
func lookAlikeSign(r rune) (string, bool) {
	switch r {
	case '\u204E', '\u2217', '\u229B', '\u2722', '\u2723', '\u2724', '\u2725', '\u2731', '\u2732', '\u2733',
		'\u273A', '\u273B', '\u273C', '\u273D', '\u2743', '\u2749', '\u274A', '\u274B', '\u29C6', '\uFE61', '\uFF0A':
		return "*", true
	case '\u2768', '\u276A', '\u2985', '\uFE59', '\uFF08', '\uFF5F':
		return "(", true
	case '\u2769', '\u276B', '\u2986', '\uFE5A', '\uFF09', '\uFF60':
		return ")", true
	case '\u2774', '\u2983', '\uFE5B', '\uFF5B':
		return "{", true
	case '\u2775', '\u2984', '\uFE5C', '\uFF5D':
		return "}", true
	case '\u2772', '\u27E6', '\u301A', '\uFF3B':
		return "[", true
	case '\u2773', '\u27E7', '\u301B', '\uFF3D':
		return "]", true
	case '\uFE5F', '\uFF03':
		return "#", true
	case '\uFE69', '\uFF04':
		return "$", true
	case '\uFE6A', '\uFF05':
		return "%", true
	case '\uFE60', '\uFF06':
		return "&", true
	case '\uFE62', '\uFF0B':
		return "+", true
	case '\uFE64', '\uFF1C':
		return "<", true
	case '\uFE66', '\uFF1D':
		return "=", true
	case '\uFE65', '\uFF1E':
		return ">", true
	case '\uFE6B', '\uFF20':
		return "@", true
	}
	if r >= '\uFF10' && r <= '\uFF19' || r >= '\uFF21' && r <= '\uFF3A' {
		return string(r - '\uFF01' + '!'), true
	}
	return smallCapital(r)
}

// smallCapital replaces the Latin letters that look like small capitals.
func smallCapital(r rune) (string, bool) {
	const small, capital = "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢ", "ABCDEFGHIJKLMNOPQRSTUVWYZ"
	if r < '\u0262' || r > '\uA7AF' {
		return "", false
	}
	n := 0
	for _, s := range small {
		if s == r {
			return capital[n : n+1], true
		}
		n++
	}
	return "", false
}
