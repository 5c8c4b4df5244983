package desktop_test

import (
	"io/fs"
	"testing"

	"github.com/parley-gateway/parley/gateway/desktop"
)

func TestFSAgreesWithItsFlag(t *testing.T) {
	files, built := desktop.FS()
	_, err := fs.Stat(files, "index.html")
	if (err == nil) != built {
		t.Fatalf("FS() built = %v, but stat index.html: %v", built, err)
	}
	if _, err := fs.Stat(files, ".keep"); err != nil {
		t.Errorf("stat .keep: %v, want the placeholder in every build", err)
	}
}
