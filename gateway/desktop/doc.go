// Package desktop holds the agent desktop: its TypeScript source and, when it has been built, the
// embedded build. It promises to compile without a build (the folder dist holds only a placeholder
// then). It leaves serving the files, with their headers and the fallback to index.html, to the
// gateway.
package desktop
