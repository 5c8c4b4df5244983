package streamtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// FrameNames are the kinds of frames that a socket accepts, read from the source of inbound.go. The
// calling test must run in a folder beside gateway/stream.
func FrameNames(t *testing.T) (names []string) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("..", "stream", "inbound.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, read, _ := strings.Cut(string(source), "switch h.T {")
	read, _, _ = strings.Cut(read, "default:")
	for _, m := range regexp.MustCompile(`case "(\w+)":`).FindAllStringSubmatch(read, -1) {
		names = append(names, m[1])
	}
	if !slices.Contains(names, "watch") {
		t.Fatalf("the frames are not found: %v", names)
	}
	return names
}
