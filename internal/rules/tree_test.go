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

// goFile is a Go file of ours, whatever platform it is for.
type goFile struct {
	path    string // from the module's root, with slashes
	dir     string
	test    bool
	pkg     string
	doc     string   // the package comment
	imports []string // of ours only, from the module's root: "core/acd"
}

// skipped are folders that hold nothing of ours.
var skipped = map[string]bool{"node_modules": true, ".git": true, ".cache": true, "bin": true, "data": true}

// files walks the module and gives every file, from its root.
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
		if d.Type().IsRegular() {
			visit(name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// isBuild reports whether the folder holds a front end's build or its pictures.
func isBuild(dir string) bool {
	base := path.Base(dir)
	return base == "dist" || base == "shots"
}

// goFiles parses the heads of all Go files; testdata is left out.
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
			continue // the parser has accepted it
		}
		if rest, ok := strings.CutPrefix(p, module+"/"); ok {
			out = append(out, rest)
		}
	}
	return out
}
