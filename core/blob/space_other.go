//go:build !unix

package blob

// checkSpace cannot tell the free space on this system; on a full disk the write fails.
func (s *Store) checkSpace(int64) error { return nil }
