// Package segment computes the length of text messages: which encoding a text needs, how many units
// it has, and how carriers split it into segments (3GPP TS 23.038 and 23.040; SPEC N10-N15). It has
// no state. It never counts bytes: units are septets in GSM-7 and 16-bit units in UCS-2. National
// shift tables are not used.
//
// testdata/vectors.json holds the figures on which this package and the desktop's counter agree.
package segment

import (
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// Encoding is the encoding of a whole message: one character outside of the GSM alphabet makes all
// of it UCS-2.
type Encoding int

// The two encodings.
const (
	GSM7 Encoding = iota // 7-bit default alphabet with its extension table
	UCS2                 // in practice UTF-16BE: surrogate pairs occur
)

// String returns "gsm7" or "ucs2".
func (e Encoding) String() string {
	if e == UCS2 {
		return "ucs2"
	}
	return "gsm7"
}

// Profile is how a carrier counts. The zero value is the usual way: 8-bit references, parts may end
// between any two characters, and the text is not changed.
type Profile struct {
	// Reference16 makes the header of a part seven octets instead of six, so that parts have room
	// for one unit less (N15).
	Reference16 bool
	// Graphemes keeps what a reader sees as one character (a flag, a family, a letter with its
	// marks) within one part, as Twilio does. A cluster that is larger than a part, and a line end,
	// can be split all the same.
	Graphemes bool
	// Smart replaces look-alike characters first; see the function Smart.
	Smart bool
}

// Limits returns how many units fit into a message of one segment, and into
// each part of a longer one.
func (p Profile) Limits(e Encoding) (single, part int) {
	single, part = 160, 153
	if e == UCS2 {
		single, part = 70, 67
	}
	if p.Reference16 {
		part--
	}
	return single, part
}

// Part is what one segment carries.
type Part struct {
	Text  string
	Units int
}

// Message is a text as a carrier sends it.
type Message struct {
	Encoding Encoding
	Units    int    // units of all parts together
	Parts    []Part // at least one; joined, their texts are the text, after Smart if the profile says so
}

// Count is Split without the texts. An empty text is one segment.
func (p Profile) Count(text string) (e Encoding, units, segments int) {
	if p.Smart {
		text = Smart(text)
	}
	e, units = measure(text)
	single, _ := p.Limits(e)
	if units <= single {
		return e, units, 1
	}
	p.cut(text, e, func(int, int) { segments++ })
	return e, units, segments
}

// Split splits a text into segments, never inside an escape pair or a surrogate pair (N13). It
// takes any string: a byte that is not UTF-8 counts as one UCS-2 unit and is not changed.
func (p Profile) Split(text string) Message {
	if p.Smart {
		text = Smart(text)
	}
	e, units := measure(text)
	m := Message{Encoding: e, Units: units}
	if single, _ := p.Limits(e); units <= single {
		m.Parts = []Part{{text, units}}
		return m
	}
	from := 0
	p.cut(text, e, func(to, units int) {
		m.Parts = append(m.Parts, Part{text[from:to], units})
		from = to
	})
	return m
}

// measure chooses the encoding and counts units.
func measure(text string) (e Encoding, units int) {
	septets, wide := 0, 0
	for _, r := range text {
		s := septetsOf(r)
		if s == 0 {
			e = UCS2
		}
		septets += s
		wide += unitsOf(r)
	}
	if e == UCS2 {
		return e, wide
	}
	return e, septets
}

// cut calls emit with the end and the units of each part, in order. Each part is filled as far as
// possible; a character that does not fit as a whole goes into the next part.
func (p Profile) cut(text string, e Encoding, emit func(to, units int)) {
	_, limit := p.Limits(e)
	used, at, state := 0, 0, -1
	place := func(size, units int) {
		if used+units > limit {
			emit(at, used)
			used = 0
		}
		used += units
		at += size
	}
	runes := func(s string) {
		for len(s) > 0 {
			r, size := utf8.DecodeRuneInString(s)
			place(size, cost(r, e))
			s = s[size:]
		}
	}
	if !p.Graphemes {
		runes(text)
	} else {
		for rest := text; rest != ""; {
			var cluster string
			cluster, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
			units := 0
			for _, r := range cluster {
				units += cost(r, e)
			}
			if units > limit || cluster == "\r\n" {
				runes(cluster)
			} else {
				place(len(cluster), units)
			}
		}
	}
	emit(at, used)
}

func cost(r rune, e Encoding) int {
	if e == UCS2 {
		return unitsOf(r)
	}
	return septetsOf(r)
}

func unitsOf(r rune) int {
	if r > 0xFFFF {
		return 2
	}
	return 1
}
