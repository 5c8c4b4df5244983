package vault_test

import (
	"bytes"
	"testing"

	"github.com/parley-gateway/parley/core/vault"
)

func benchVault(b *testing.B) *vault.Vault {
	b.Helper()
	o := options(b)
	o.BlockSize = 0
	v, err := vault.Open(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = v.Close() })
	return v
}

func BenchmarkAppendSeal300(b *testing.B) {
	v := benchVault(b)
	key, _ := v.Assign()
	plain, aad := bytes.Repeat([]byte("x"), 300), bytes.Repeat([]byte("a"), 24)
	dst := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.AppendSeal(dst, key, aad, plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen300(b *testing.B) {
	v := benchVault(b)
	key, _ := v.Assign()
	aad := bytes.Repeat([]byte("a"), 24)
	sealed, _ := v.Seal(key, aad, bytes.Repeat([]byte("x"), 300))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Open(key, aad, sealed); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMAC(b *testing.B) {
	v := benchVault(b)
	account, id := bytes.Repeat([]byte("a"), 16), []byte("SM0123456789abcdef0123456789abcdef")
	b.ReportAllocs()
	for b.Loop() {
		_ = v.MAC("external", account, id)
	}
}

func BenchmarkAssign(b *testing.B) {
	v := benchVault(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Assign(); err != nil {
			b.Fatal(err)
		}
	}
}
