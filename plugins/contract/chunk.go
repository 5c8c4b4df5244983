package contract

import "io"

// ReadChunk reads from r until b is full or reading stops, and returns the number of bytes read.
// end: r has come to its end. err: why reading stopped before that; nil if it can go on. A reader
// that was cut off fails with io.ErrUnexpectedEOF, or with an error that wraps io.EOF; that is no
// end, but io.ReadFull would make it look like one.
func ReadChunk(r io.Reader, b []byte) (n int, end bool, err error) {
	for n < len(b) && err == nil {
		var more int
		more, err = r.Read(b[n:])
		n += more
	}
	if err == io.EOF { // itself: what wraps it is an error
		return n, true, nil
	}
	return n, false, err
}
