// Package contract holds the public contract of Parley's plugins: the .proto files under parley/
// and the Go code generated from them. Released files are frozen: docs/plugin-contract.md explains
// them, and how a new version is made.
package contract

//go:generate protoc -I . --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative parley/plugin/v1/plugin.proto
