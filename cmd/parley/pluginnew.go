package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

// newPlugin holds the plugins that `parley plugin new` writes, each in a folder: a working channel
// with a fake provider, a tool, and a bot, with tests and a README (X2).
//
//go:embed newplugin
var newPlugin embed.FS

// newPluginFiles maps the files of each kind of plugin to their places.
var newPluginFiles = map[string]map[string]string{
	"channel": {
		"main.go": "main.go", "provider.go": "provider.go", "main_test.go": "main_test.go",
		"fake.go": "fake/fake.go", "plugin.yaml": "plugin.yaml", "README.md": "README.md",
	},
	"tool": {
		"main.go": "main.go", "store.go": "store.go", "main_test.go": "main_test.go", "plugin.yaml": "plugin.yaml", "README.md": "README.md",
	},
	"bot": {"main.go": "main.go", "store.go": "store.go", "main_test.go": "main_test.go", "plugin.yaml": "plugin.yaml", "README.md": "README.md"},
}

// pluginName is the form of a plugin's name.
var pluginName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// releasedVersion is the form of a version that a module can require.
var releasedVersion = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?$`)

const ownModule = "github.com/parley-gateway/parley"

type pluginNewCmd struct {
	Name   string `arg:"" help:"Id of the plugin: a lower-case letter, then letters, digits and hyphens."`
	Tool   bool   `xor:"kind" help:"Write a tool, which agents and customers use inside a conversation, instead of a channel."`
	Bot    bool   `xor:"kind" help:"Write a bot, which answers customers before people do, instead of a channel."`
	Dir    string `type:"path" help:"Folder to make. Default: the name, in this folder."`
	Module string `help:"Its module path. Default: the name."`
	SDK    string `name:"sdk" type:"existingdir" help:"Folder of Parley's sources, to build against these instead of a release."`
}

func (c *pluginNewCmd) Run(a *app) error {
	if !pluginName.MatchString(c.Name) {
		return usageError{fmt.Errorf("name %q: want a lower-case letter, then up to 31 of a-z 0-9 -", c.Name)}
	}
	if c.Dir == "" {
		c.Dir = c.Name
	}
	if c.Module == "" {
		c.Module = c.Name
	}
	files, err := c.files()
	if err != nil {
		return err
	}
	if err := os.Mkdir(c.Dir, 0o750); err != nil { // fails if the folder exists: no file in it may be overwritten
		return fmt.Errorf("new plugin: %w", err)
	}
	for name, text := range files {
		path := filepath.Join(c.Dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return fmt.Errorf("new plugin: %w", err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return fmt.Errorf("new plugin: %w", err)
		}
	}
	next := "go test ./..."
	if c.SDK == "" {
		next = "go mod tidy && " + next
	}
	_, err = fmt.Fprintf(a.stdout, "wrote %s\nnext: cd %s && %s\n", c.Dir, c.Dir, next)
	return err
}

// files returns the contents of every file, by its path.
func (c *pluginNewCmd) files() (map[string][]byte, error) {
	out, err := c.moduleFiles()
	if err != nil {
		return nil, err
	}
	kind := "channel"
	switch {
	case c.Tool:
		kind = "tool"
	case c.Bot:
		kind = "bot"
	}
	for name, place := range newPluginFiles[kind] {
		t, err := template.ParseFS(newPlugin, "newplugin/"+kind+"/"+name+".tmpl")
		if err != nil {
			return nil, fmt.Errorf("new plugin: %w", err)
		}
		var text bytes.Buffer
		if err := t.Execute(&text, c); err != nil {
			return nil, fmt.Errorf("new plugin: %w", err)
		}
		out[place] = text.Bytes()
	}
	return out, nil
}

// moduleFiles returns go.mod, which requires this release. If the folder of Parley's sources is
// given, go.mod uses that and its go.sum, so that the plugin builds at once.
func (c *pluginNewCmd) moduleFiles() (map[string][]byte, error) {
	if c.SDK == "" {
		if !releasedVersion.MatchString(version) {
			return nil, usageError{errors.New("this parley is no release that a module could require: name the folder of its sources with --sdk")}
		}
		return map[string][]byte{
			"go.mod": fmt.Appendf(nil, "module %s\n\ngo 1.26\n\nrequire %s %s\n", c.Module, ownModule, version),
		}, nil
	}
	dir, err := filepath.Abs(c.SDK)
	if err != nil {
		return nil, fmt.Errorf("new plugin: %w", err)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, fmt.Errorf("new plugin: %w", err)
	}
	rest, ok := strings.CutPrefix(string(mod), "module "+ownModule+"\n")
	if !ok {
		return nil, usageError{fmt.Errorf("--sdk: %s does not hold the sources of Parley", dir)}
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return nil, fmt.Errorf("new plugin: %w", err)
	}
	return map[string][]byte{
		"go.mod": fmt.Appendf(nil, "module %s\n%s\nrequire %s v0.0.0\n\nreplace %s => %s\n", c.Module, rest, ownModule, ownModule, dir),
		"go.sum": sum,
	}, nil
}
