// Package typescript writes Go types as TypeScript declarations, for tests that
// keep the front ends' types what the Go side encodes and decodes.
//
// It promises that a field is called, optional and nullable in TypeScript as
// encoding/json has it: by its json tag, "?" where the tag omits, "| null" where
// a pointer, map or slice that is nil is written. An enum tag lists the values of
// a string, a doc tag becomes a comment. It leaves to its callers which types
// there are, what they are called where the Go name will not do, and what is
// written around them.
package typescript
