package blob

// Strip gives the fuzz test what no caller outside needs.
func Strip(mime string, b []byte) ([]byte, error) {
	out, _, err := strip(mime, b)
	return out, err
}

// DecodedBytes is what decoding a picture is expected to take.
func DecodedBytes(mime string, b []byte) (int64, error) {
	_, n, err := decodeConfig(mime, b)
	return n, err
}
