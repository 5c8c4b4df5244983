package rules_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// systemTime are the files that may store the system's time, with the reason. Everywhere else in
// core and gateway, times that are stored come from core/clock, because a stored time that is
// compared with the system's clock expires when that jumps (FT19). Durations within the process are
// measured with time.Since, which is monotonic.
var systemTime = map[string]string{
	"core/pluginhost/hook.go":       "plugins compare the time with what the carrier signed",
	"core/pluginhost/verify.go":     "a record of when a plugin was pinned, for people",
	"core/eventlog/sqlite/lease.go": "one process writes the file: a lease is only ever renewed",

	"gateway/stream/streamtest/router.go": "a router in memory, for tests",
}

// writesDown are the methods whose result has no monotonic reading any more.
var writesDown = map[string]bool{"UTC": true, "Unix": true, "UnixMilli": true, "UnixMicro": true, "UnixNano": true, "Round": true, "Truncate": true, "Format": true}

func TestTimesWrittenDownAreTheClocks(t *testing.T) {
	set := token.NewFileSet()
	for _, f := range goFiles(t) {
		if f.test || !below(f.dir, "core") && !below(f.dir, "gateway") || below(f.dir, "core/clock") || below(f.dir, "core/eventlog/eventlogbench") || systemTime[f.path] != "" {
			continue
		}
		file, err := parser.ParseFile(set, filepath.Join("..", "..", filepath.FromSlash(f.path)), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			for _, at := range writtenDown(fn.Body) {
				t.Errorf("%s: the system's time is written down; use the clock that the package was given, or time.Since", strings.TrimPrefix(set.Position(at).String(), "../../"))
			}
		}
	}
}

// writtenDown finds where time.Now(), or a variable that was set to it, loses its monotonic
// reading.
func writtenDown(body *ast.BlockStmt) (at []token.Pos) {
	now := map[string]bool{}
	isNow := func(e ast.Expr) bool {
		if id, ok := e.(*ast.Ident); ok {
			return now[id.Name]
		}
		call, ok := e.(*ast.CallExpr)
		if !ok {
			return false
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		pkg, ok := sel.X.(*ast.Ident)
		return ok && pkg.Name == "time" && sel.Sel.Name == "Now"
	}
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, rhs := range n.Rhs {
				if id, ok := n.Lhs[i].(*ast.Ident); ok && len(n.Lhs) == len(n.Rhs) && isNow(rhs) {
					now[id.Name] = true
				}
			}
		case *ast.CallExpr:
			sel, ok := n.Fun.(*ast.SelectorExpr)
			if ok && writesDown[sel.Sel.Name] && isNow(sel.X) {
				at = append(at, n.Pos())
			}
		}
		return true
	})
	return at
}
