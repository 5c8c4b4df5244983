// Package config turns a file and the environment into one validated, documented struct. Every
// fault is reported at once, with file, line and what to do about it; unknown keys are faults;
// secrets come inline, from a file or from the environment, and print as a mask (SPEC Z3).
//
// Precedence: flag > environment > file > default. The environment variable of listen.public is
// PARLEY_LISTEN__PUBLIC; a secret may come from a file that is named by the variable with _FILE
// appended.
//
// It promises that what Load returns is complete and within its limits, and that no error contains
// a secret. It leaves to others what a setting does, and the settings of plugins, which belong to
// their accounts.
package config
