package segment

// septetsOf returns how many septets a character takes in GSM-7 (3GPP TS 23.038, 6.2.1): 1 in the
// default alphabet, 2 in the extension table, 0 if it is in neither.
func septetsOf(r rune) int {
	if r < 0x80 {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= ' ' && r <= '?':
			return 1
		}
		switch r {
		case '@', '_', '\n', '\r':
			return 1
		case '\f', '^', '{', '}', '\\', '[', '~', ']', '|':
			return 2
		}
		return 0
	}
	switch r {
	case '£', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', 'Ø', 'ø', 'Å', 'å', 'Æ', 'æ', 'ß', 'É', '¤', '¡',
		'Ä', 'Ö', 'Ñ', 'Ü', '§', '¿', 'ä', 'ö', 'ñ', 'ü', 'à',
		'Δ', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ':
		return 1
	case '€':
		return 2
	}
	return 0
}
