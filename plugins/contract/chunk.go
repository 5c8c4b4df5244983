package contract

import "io"

// ReadChunk reads from r until b is full or reading stops, and returns the number of bytes read.
// end reports that r has come to its end. err says why reading stopped before that; nil when it can
// go on. A reader that was cut off fails with io.ErrUnexpectedEOF, or with an error that wraps
// io.EOF. That is not the end of r, but io.ReadFull would make it look like one.
func ReadChunk(r io.Reader, b []byte) (n int, end bool, err error) {
	for n < len(b) && err == nil {
		var more int
		more, err = r.Read(b[n:])
		n += more
	}
	if err == io.EOF { // compared with ==, since an error that wraps io.EOF is a failure
		return n, true, nil
	}
	return n, false, err
}
