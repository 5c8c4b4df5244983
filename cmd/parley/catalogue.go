package main

import "github.com/parley-gateway/parley/plugins/webchat"

// builtin is the catalogue of built-in plugins: one line a plugin.
func builtin() map[string]func() {
	return map[string]func(){
		"webchat": webchat.Serve,
	}
}
