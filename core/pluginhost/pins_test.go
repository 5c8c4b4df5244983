package pluginhost_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/core/pluginhost"
)

// folder makes the folder of a third-party plugin: the test binary under another name.
func folder(tb testing.TB, parent, name string, modes ...string) string {
	tb.Helper()
	dir := filepath.Join(parent, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "channel"), self, 0o755); err != nil {
		tb.Fatal(err)
	}
	args := append([]string{"plugin", name}, modes...)
	manifest := fmt.Sprintf("id: %s\nexec: channel\nargs: [%s]\n", name, strings.Join(args, ", "))
	if err := os.WriteFile(filepath.Join(dir, pluginhost.ManifestFile), []byte(manifest), 0o644); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// Nothing may run before it is pinned.
func TestPins(t *testing.T) {
	plugins, pinFile := t.TempDir(), filepath.Join(t.TempDir(), "plugins.lock")
	dir := folder(t, plugins, "echo")
	pins := pluginhost.OpenPins(pinFile)
	b := newBench(t, func(o *pluginhost.Options) { o.PinFile = pinFile }, pluginhost.Spec{ID: "echo", Dir: dir})
	wait := func(reason string) {
		t.Helper()
		b.core.until(t, "refusal: "+reason, func() bool { return strings.Contains(b.status(t).Reason, reason) })
	}
	wait("not pinned")
	if s := b.status(t); s.PID != 0 {
		t.Fatalf("an unpinned plugin runs as process %d", s.PID)
	}
	if _, err := pins.Add(dir); err != nil {
		t.Fatal(err)
	}
	b.ready(t)
	if s := b.status(t); s.Kind != "folder" || s.Dir != dir {
		t.Errorf("status: got %q in %q, want a folder plugin in %q", s.Kind, s.Dir, dir)
	}
	if target, ok := b.host.Route("echo"); !ok || !target.Foreign {
		t.Errorf("route of a folder plugin: got %+v, %v, want it to be foreign", target, ok)
	}
	id := b.core.send(b.account, "hello")
	b.core.until(t, "the result of a command", func() bool { return b.core.settled(id) })

	// Another folder of the same plugin must replace the first one and its pin.
	next := folder(t, t.TempDir(), "echo", "v2")
	if _, err := pins.Add(next); err != nil {
		t.Fatal(err)
	}
	if err := b.host.LoadOrUpgrade(t.Context(), pluginhost.Spec{Dir: next}); err != nil {
		t.Fatal(err)
	}
	if s := b.status(t); s.Version != "2.0" || s.Dir != next {
		t.Errorf("after the upgrade: got %s in %s, want 2.0 in %s", s.Version, s.Dir, next)
	}
	if list, err := pins.List(); err != nil || len(list) != 1 {
		t.Errorf("pins: got %v, %v, want one", list, err)
	}
	// A crash within 30 s brings the old program back although it is no longer pinned: the very
	// file that was verified is kept open.
	b.core.send(b.account, "exit 1")
	b.core.until(t, "the old program", func() bool { return b.status(t).Version == "1.0" && b.status(t).PID != 0 })
}

// A folder that has changed since it was pinned must be refused.
func TestPinsChanged(t *testing.T) {
	plugins, pinFile := t.TempDir(), filepath.Join(t.TempDir(), "plugins.lock")
	dir := folder(t, plugins, "echo")
	pins := pluginhost.OpenPins(pinFile)
	if _, err := pins.Add(dir); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(o *pluginhost.Options) { o.PinFile = pinFile }, pluginhost.Spec{ID: "echo", Dir: dir})
	b.ready(t)
	program := filepath.Join(dir, "channel")
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte("\x7fELF something else"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.core.send(b.account, "exit 1")
	b.core.until(t, "a refusal", func() bool { return strings.Contains(b.status(t).Reason, "changed since it was pinned") })
	found, err := pins.Discover(plugins)
	if err != nil || len(found) != 1 || found[0].State != pluginhost.StateDiscovered || !strings.Contains(found[0].Reason, "changed") {
		t.Errorf("discover: got %+v, %v, want one changed plugin", found, err)
	}
}

func TestPinsRefuse(t *testing.T) {
	tests := []struct {
		name, manifest, want string
	}{
		{"unknown key", "id: a\nexec: channel\nrun: x\n", "unknown field"},
		{"bad id", "id: Echo\nexec: channel\n", `id "Echo"`},
		{"path outside", "id: a\nexec: ../channel\n", "inside the folder"},
		{"transport", "id: a\nexec: channel\ntransport: tcp\n", "want unix"},
		{"author's hash", "id: a\nexec: channel\nsha256: 00ff\n", "plugin.yaml says 00ff"},
		{"no program", "id: a\nexec: missing\n", "no such file"},
		{"not executable", "id: a\nexec: plugin.yaml\n", "executable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "channel"), []byte("\x7fELF"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, pluginhost.ManifestFile), []byte(tt.manifest), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := pluginhost.OpenPins(filepath.Join(t.TempDir(), "pins")).Add(dir)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("add %q: got %v, want an error with %q", tt.manifest, err, tt.want)
			}
		})
	}
}

func TestPinsManifestChanged(t *testing.T) {
	plugins, pins := t.TempDir(), pluginhost.OpenPins(filepath.Join(t.TempDir(), "pins"))
	dir := folder(t, plugins, "echo")
	pin, err := pins.Add(dir)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := pins.Discover(plugins); err != nil || len(found) != 1 || found[0].State != pluginhost.StateVerified {
		t.Fatalf("discover after Add of %s: got %+v, %v, want one verified", pin.ID, found, err)
	}
	if err := os.WriteFile(filepath.Join(dir, pluginhost.ManifestFile), []byte("id: echo\nexec: channel\nenv: [SECRET]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if found, err := pins.Discover(plugins); err != nil || found[0].State != pluginhost.StateDiscovered {
		t.Errorf("discover with another manifest: got %+v, %v, want it refused", found, err)
	}
	if err := pins.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if list, err := pins.List(); err != nil || len(list) != 0 {
		t.Errorf("pins after Remove: got %v, %v, want none", list, err)
	}
}

func TestLoadErrors(t *testing.T) {
	h, err := pluginhost.New(pluginhost.Options{RunDir: runDir(t), Core: newFakeCore(), Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	for name, spec := range map[string]pluginhost.Spec{
		"nothing to start":      {ID: "a"},
		"two ways":              {ID: "a", Command: []string{"x"}, Attach: "/x"},
		"bad id":                {ID: "A", Command: []string{"x"}},
		"folder without a file": {Dir: "/nowhere"},
		"folder without pins":   {ID: "a", Dir: "/nowhere"},
	} {
		if err := h.Load(spec); err == nil {
			t.Errorf("load with %s: got no error", name)
		}
	}
	if err := h.Load(self("echo")); err != nil {
		t.Fatal(err)
	}
	if err := h.Load(self("echo")); err == nil {
		t.Error("load twice: got no error")
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := h.Load(self("other")); !errors.Is(err, pluginhost.ErrClosed) {
		t.Errorf("load after Close: got %v, want ErrClosed", err)
	}
}
