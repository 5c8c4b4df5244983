// Package rules contains no code: its tests check the rules for the whole repository (DESIGN.md 2):
// which package may import which, a comment on every package, and no text in any file that is true
// on one machine only. They read every file for every platform, also those that would not be built
// here.
//
// It promises that a broken rule is reported with file and reason. It leaves style to the linters.
package rules
