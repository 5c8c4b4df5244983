//go:build unix

package blob

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// checkSpace refuses an upload of up to size bytes if less than the reserve would be free
// afterwards: the log may be on the same file system, and messaging must not stop because of
// attachments (FT12).
func (s *Store) checkSpace(size int64) error {
	if s.opts.Dir == "" || s.opts.Reserve < 0 {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(s.opts.Dir, &st); err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	free := int64(st.Bavail) * int64(st.Bsize) //nolint:unconvert // types differ between systems
	if free < s.opts.Reserve+size {
		return ErrFull
	}
	return nil
}
