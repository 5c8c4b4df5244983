// Package config turns a file and the environment into one validated,
// documented struct. Every fault is reported at once, with file, line and what
// to do about it; unknown keys are faults; secrets come inline, from a file or
// from the environment, and print as a mask (SPEC Z3).
//
// Precedence: flag > environment > file > default. The environment variable of
// listen.public is PARLEY_LISTEN__PUBLIC; secrets may come from a file
// named by the variable with _FILE behind it.
//
// It promises that what Load returned is complete and within its bounds, and
// that an error never shows a secret. It leaves to others what a setting does,
// and plugins' own settings, which go with their accounts.
package config
