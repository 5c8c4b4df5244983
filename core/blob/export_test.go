package blob

// Strip gives the fuzz test what no caller outside needs.
func Strip(mime string, b []byte) ([]byte, error) {
	out, _, err := strip(mime, b)
	return out, err
}
