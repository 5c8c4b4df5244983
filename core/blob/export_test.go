package blob

// Strip lets the fuzz test call strip.
func Strip(mime string, b []byte) ([]byte, error) {
	out, _, err := strip(mime, b)
	return out, err
}

// DecodedBytes is how many bytes decoding a picture is expected to take.
func DecodedBytes(mime string, b []byte) (int64, error) {
	_, takes, err := decodeConfig(mime, b)
	return takes.bytes, err
}

// Endless reports whether a picture is not decoded because it would take too long.
func Endless(mime string, b []byte) bool {
	_, takes, _ := decodeConfig(mime, b)
	return takes.endless
}
