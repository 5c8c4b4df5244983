package rules_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/parley-gateway/parley"

// goFile is one of the repository's Go files, for whatever platform.
type goFile struct {
	path    string // relative to the module's root, with slashes
	dir     string
	test    bool
	pkg     string
	doc     string   // the package comment
	imports []string // of Parley's packages only, relative to the module's root: "core/acd"
}

// skipped are folders without files of the project.
var skipped = map[string]bool{"node_modules": true, ".git": true, ".cache": true, "bin": true, "data": true}

// files calls visit with the path of every file, relative to the module's root.
func files(t *testing.T, visit func(name string)) {
	t.Helper()
	root := os.DirFS(filepath.Join("..", ".."))
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipped[d.Name()] || isBuild(name) {
				return fs.SkipDir
			}
			return nil
		}
		if d.Type().IsRegular() && d.Name() != ".git" { // in a git worktree .git is a file with a path of this machine
			visit(name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// isBuild reports whether the folder contains a front end's build or its screenshots.
func isBuild(dir string) bool {
	base := path.Base(dir)
	return base == "dist" || base == "shots"
}

// goFiles parses package clause and imports of all Go files, except those in testdata.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	var all []goFile
	set := token.NewFileSet()
	files(t, func(name string) {
		if path.Ext(name) != ".go" || strings.Contains("/"+name, "/testdata/") {
			return
		}
		f, err := parser.ParseFile(set, filepath.Join("..", "..", filepath.FromSlash(name)), nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		all = append(all, goFile{
			path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
			pkg: f.Name.Name, doc: f.Doc.Text(), imports: ours(f),
		})
	})
	if len(all) < 50 {
		t.Fatalf("found %d Go files: not the module's root?", len(all))
	}
	return all
}

func ours(f *ast.File) []string {
	var out []string
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // cannot happen: the parser has accepted it
		}
		if rest, ok := strings.CutPrefix(p, module+"/"); ok {
			out = append(out, rest)
		}
	}
	return out
}
