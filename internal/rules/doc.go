// Package rules holds no code: its tests keep the rules of the whole house
// (DESIGN.md 2): who may import whom, a comment on every package, and nothing
// in any file that is true on one machine only. They read every file of every
// platform, whatever would be built here.
//
// It promises that a rule which is broken names file and reason. It leaves style
// to the linters.
package rules
