package pluginhost

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/goccy/go-yaml"
)

// ManifestFile is the name of the file whose presence makes a folder a plugin.
const ManifestFile = "plugin.yaml"

// pluginID is the shape of a plugin's id.
var pluginID = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// Manifest is a third-party plugin's plugin.yaml.
type Manifest struct {
	ID        string   `yaml:"id"`
	Exec      string   `yaml:"exec"`             // the program, relative to the folder
	Args      []string `yaml:"args,omitempty"`   // arguments for the program
	SHA256    string   `yaml:"sha256,omitempty"` // hash of the program, in hex, as its author states it
	Transport string   `yaml:"transport,omitempty"`
	Egress    []string `yaml:"egress,omitempty"` // hosts to which the plugin connects
	Env       []string `yaml:"env,omitempty"`    // names of the gateway's environment variables that are passed to the plugin
}

// Pin is the administrator's permission to run a folder as it was when it was pinned.
type Pin struct {
	ID             string    `json:"id"`
	Dir            string    `json:"dir"` // absolute
	SHA256         string    `json:"sha256"`
	ManifestSHA256 string    `json:"manifest_sha256"`
	Added          time.Time `json:"added"`
}

// Candidate is a plugin folder as Discover finds it.
type Candidate struct {
	Dir      string
	Manifest Manifest
	State    State  // StateVerified, or StateDiscovered if it must not run
	Reason   string // why it must not run; "" = it may run
}

// Pins stores the pins in a small JSON file. Its methods are safe for concurrent use by several
// processes.
type Pins struct{ path string }

// OpenPins names the file of the pins, which need not exist yet.
func OpenPins(path string) *Pins { return &Pins{path: path} }

// List returns all pins, ordered by folder; none if there is no file.
func (p *Pins) List() ([]Pin, error) {
	text, err := os.ReadFile(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read pins: %w", err)
	}
	var pins []Pin
	if err := json.Unmarshal(text, &pins); err != nil {
		return nil, fmt.Errorf("read pins %s: %w", p.path, err)
	}
	return pins, nil
}

// Add pins the folder dir as it is now, and replaces an earlier pin of the same folder or the same
// plugin. It runs nothing.
func (p *Pins) Add(dir string) (Pin, error) {
	v, err := inspect(dir)
	if err != nil {
		return Pin{}, fmt.Errorf("add plugin: %w", err)
	}
	defer v.close()
	if want := strings.ToLower(v.manifest.SHA256); want != "" && want != v.sum {
		return Pin{}, fmt.Errorf("add plugin %s: %s has SHA-256 %s, plugin.yaml says %s", v.manifest.ID, v.manifest.Exec, v.sum, want)
	}
	pin := Pin{ID: v.manifest.ID, Dir: v.dir, SHA256: v.sum, ManifestSHA256: v.manifestSum, Added: time.Now().UTC().Truncate(time.Second)}
	return pin, p.update(func(pins []Pin) []Pin {
		return append(slices.DeleteFunc(pins, func(o Pin) bool { return o.Dir == pin.Dir || o.ID == pin.ID }), pin)
	})
}

// Remove removes the pin of the folder dir; it is no error if there is none.
func (p *Pins) Remove(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("remove plugin: %w", err)
	}
	return p.update(func(pins []Pin) []Pin {
		return slices.DeleteFunc(pins, func(o Pin) bool { return o.Dir == abs })
	})
}

// update changes the file under a lock file beside it and replaces the file as a whole.
func (p *Pins) update(f func([]Pin) []Pin) error {
	lock, err := os.OpenFile(p.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock pins: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock pins: %w", err)
	}
	pins, err := p.List()
	if err != nil {
		return err
	}
	pins = f(pins)
	slices.SortFunc(pins, func(a, b Pin) int { return strings.Compare(a.Dir, b.Dir) })
	text, err := json.MarshalIndent(pins, "", "  ")
	if err != nil {
		return fmt.Errorf("write pins: %w", err)
	}
	tmp := p.path + ".new"
	if err := os.WriteFile(tmp, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write pins: %w", err)
	}
	if err := os.Rename(tmp, p.path); err != nil {
		return fmt.Errorf("write pins: %w", err)
	}
	return nil
}

// Discover looks at each folder in dir that contains a plugin.yaml. It runs nothing. If dir does
// not exist there are no plugins.
func (p *Pins) Discover(dir string) ([]Candidate, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*", ManifestFile))
	if err != nil {
		return nil, fmt.Errorf("discover plugins: %w", err)
	}
	var out []Candidate
	for _, file := range found {
		c := Candidate{Dir: filepath.Dir(file), State: StateDiscovered}
		v, err := p.verify(c.Dir)
		if v != nil {
			c.Manifest = v.manifest
			v.close()
		}
		if err != nil {
			c.Reason = err.Error()
		} else {
			c.State = StateVerified
		}
		out = append(out, c)
	}
	return out, nil
}

// verified is a folder that was inspected; file is the very program file that was hashed, still
// open.
type verified struct {
	dir         string
	manifest    Manifest
	manifestSum string
	file        *os.File
	sum         string
	script      bool
}

func (v *verified) close() { _ = v.file.Close() }

// verify compares a folder with its pin. A non-nil result must be closed, even if there is an error
// too.
func (p *Pins) verify(dir string) (*verified, error) {
	v, err := inspect(dir)
	if err != nil {
		return nil, err
	}
	pins, err := p.List()
	if err != nil {
		return v, err
	}
	i := slices.IndexFunc(pins, func(o Pin) bool { return o.Dir == v.dir })
	switch {
	case i < 0 || pins[i].ID != v.manifest.ID:
		return v, fmt.Errorf("plugin %s in %s: %w: run `parley plugin add %s` once you trust it", v.manifest.ID, v.dir, ErrNotPinned, v.dir)
	case pins[i].SHA256 != v.sum:
		return v, fmt.Errorf("plugin %s: %s: %w: SHA-256 is %s, the pin says %s", v.manifest.ID, v.manifest.Exec, ErrChanged, v.sum, pins[i].SHA256)
	case pins[i].ManifestSHA256 != v.manifestSum:
		return v, fmt.Errorf("plugin %s: %s: %w", v.manifest.ID, ManifestFile, ErrChanged)
	}
	return v, nil
}

// inspect reads and hashes a folder without running anything in it.
func inspect(dir string) (*verified, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(abs, ManifestFile))
	if err != nil {
		return nil, err
	}
	v := &verified{dir: abs}
	if err := yaml.UnmarshalWithOptions(text, &v.manifest, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(abs, ManifestFile), err)
	}
	if err := v.manifest.validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(abs, ManifestFile), err)
	}
	sum := sha256.Sum256(text)
	v.manifestSum = hex.EncodeToString(sum[:])
	if v.file, err = os.Open(filepath.Join(abs, v.manifest.Exec)); err != nil {
		return nil, err
	}
	if v.sum, v.script, err = hashFile(v.file); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

func (m *Manifest) validate() error {
	switch {
	case !pluginID.MatchString(m.ID):
		return fmt.Errorf("id %q: want a lower-case letter, then up to 31 of a-z 0-9 _ -", m.ID)
	case m.Exec == "" || !filepath.IsLocal(m.Exec):
		return fmt.Errorf("exec %q: want a path inside the folder", m.Exec)
	case m.Transport != "" && m.Transport != "unix":
		return fmt.Errorf("transport %q: want unix", m.Transport)
	}
	return nil
}

func hashFile(f *os.File) (sum string, script bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return "", false, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return "", false, fmt.Errorf("%s: want an executable file", f.Name())
	}
	var magic [2]byte
	if _, err := f.ReadAt(magic[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return "", false, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", false, fmt.Errorf("hash %s: %w", f.Name(), err)
	}
	return hex.EncodeToString(h.Sum(nil)), magic == [2]byte{'#', '!'}, nil
}

// program returns what to execute for a verified folder: the open file itself, so that nothing can
// replace the program after it was hashed. A script cannot be run in this way, so its folder must
// be writable only by its owner, who must not be the gateway's user unless that is root.
func (v *verified) program() (string, error) {
	path := filepath.Join(v.dir, v.manifest.Exec)
	if !v.script && procFDs {
		return fmt.Sprintf("/proc/self/fd/%d", v.file.Fd()), nil
	}
	for _, name := range []string{v.dir, path} {
		info, err := os.Stat(name)
		if err != nil {
			return "", err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || info.Mode().Perm()&0o022 != 0 || (int(st.Uid) == os.Getuid() && os.Getuid() != 0) {
			return "", fmt.Errorf("plugin %s: %s can be written by the gateway's user or others: a script cannot be pinned there", v.manifest.ID, name)
		}
	}
	return path, nil
}
