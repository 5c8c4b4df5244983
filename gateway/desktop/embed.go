package desktop

import (
	"embed"
	"io/fs"
)

// dist is what `npm run build` wrote. The placeholder .keep is the only
// committed file, hence "all:", which takes names with a leading dot too.
//
//go:embed all:dist
var dist embed.FS

// FS returns the built desktop, with index.html at its root. false means that the binary was built
// without the desktop; the file system then has no index.html. Files under assets/ carry a hash of
// their content in their names and never change; all others may. Safe for concurrent use.
func FS() (fs.FS, bool) {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		return dist, false
	}
	_, err = fs.Stat(sub, "index.html")
	return sub, err == nil
}
