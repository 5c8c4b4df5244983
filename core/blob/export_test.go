package blob

// Strip gives the fuzz test what no caller outside needs.
func Strip(mime string, b []byte) ([]byte, error) {
	out, _, err := strip(mime, b)
	return out, err
}

// DecodedBytes is what decoding a picture is expected to take.
func DecodedBytes(mime string, b []byte) (int64, error) {
	_, takes, err := decodeConfig(mime, b)
	return takes.bytes, err
}

// Endless tells whether a picture is not decoded since it would take too long.
func Endless(mime string, b []byte) bool {
	_, takes, _ := decodeConfig(mime, b)
	return takes.endless
}
