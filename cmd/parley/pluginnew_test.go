package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// newPluginIn runs `parley plugin new` and returns its exit code and output.
func newPluginIn(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), append([]string{"plugin", "new"}, args...), &stdout, &stderr)
	return code, stdout.String() + stderr.String()
}

// TestPluginNew: each kind of plugin that is written is formatted, builds, and passes its own tests,
// which include the conformance kit (X2). It uses the sources of this repository and their go.sum, so
// nothing is downloaded.
func TestPluginNew(t *testing.T) {
	sources, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for name, flags := range map[string][]string{"acme-chat": nil, "acme-tool": {"--tool"}, "acme-bot": {"--bot"}} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), name)
			args := append([]string{name, "--dir", dir, "--sdk", sources}, flags...)
			if code, out := newPluginIn(t, args...); code != 0 || !strings.Contains(out, "go test ./...") {
				t.Fatalf("exit code %d: %s", code, out)
			}
			for _, args := range [][]string{{"gofmt", "-l", "."}, {"go", "vet", "./..."}, {"go", "test", "-count=1", "./..."}} {
				cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
				cmd.Dir = dir
				// The flags of the tests themselves share the build cache with them.
				cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS="+os.Getenv("GOFLAGS")+" -mod=readonly", "GOWORK=off")
				out, err := cmd.CombinedOutput()
				if err != nil || args[0] == "gofmt" && len(out) > 0 {
					t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
				}
			}
			// A folder that exists is not changed.
			if code, out := newPluginIn(t, args...); code == 0 || !strings.Contains(out, "exists") {
				t.Errorf("again: exit code %d: %s", code, out)
			}
		})
	}
}

func TestPluginNewRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"capital":       {[]string{"Acme", "--sdk", "../.."}, "lower-case letter"},
		"path":          {[]string{"../acme", "--sdk", "../.."}, "lower-case letter"},
		"too long":      {[]string{strings.Repeat("a", 33), "--sdk", "../.."}, "lower-case letter"},
		"no release":    {[]string{"acme"}, "--sdk"},
		"two kinds":     {[]string{"acme", "--sdk", "../..", "--tool", "--bot"}, "--tool"},
		"other sources": {[]string{"acme", "--sdk", "testdata/other"}, "does not hold the sources"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "made")
			code, out := newPluginIn(t, append(tc.args, "--dir", dir)...)
			if code != 2 || !strings.Contains(out, tc.want) {
				t.Errorf("exit code %d, %q; want 2 and %q", code, out, tc.want)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("it made the folder all the same")
			}
		})
	}
}

// TestNewPluginRequiresTheRelease: with a released binary the sources are not needed.
func TestNewPluginRequiresTheRelease(t *testing.T) {
	for text, want := range map[string]bool{
		"v1.2.3": true, "v1.2.3-rc.1": true, "dev": false, "v1.2.3-4-gabcdef": false, "v1.2.3-dirty-x": false, "1.2.3": false,
	} {
		if got := releasedVersion.MatchString(text); got != want {
			t.Errorf("version %q: released %v, want %v", text, got, want)
		}
	}
}
