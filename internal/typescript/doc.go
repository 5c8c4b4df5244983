// Package typescript writes Go types as TypeScript declarations. Tests use it to keep the front
// ends' types equal to what the Go side encodes and decodes.
//
// It promises that a field has the name that its json tag gives, "?" where encoding/json may omit
// it, and "| null" where encoding/json writes null for a nil pointer, map or slice. An enum tag
// lists the values of a string, a doc tag becomes a comment. It leaves to its callers which types
// are written, what they are called when the Go name does not fit, and what is written around them.
package typescript
