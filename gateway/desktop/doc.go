// Package desktop holds the agent desktop: its TypeScript source and, when it
// has been built, the embedded build. The package promises to compile without
// a build (the folder dist holds only a placeholder then); serving the files,
// with their headers and the fallback to index.html, is left to the gateway.
package desktop
