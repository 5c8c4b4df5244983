package freeport_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/parley-gateway/parley/internal/freeport"
)

func TestFix(t *testing.T) {
	free, err := freeport.Fix(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := free[0].String()
	ln, err := net.Listen("tcp", taken)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := freeport.Fix(t.Context(), "127.0.0.1:0", taken); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("an address in use: %v", err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := freeport.Fix(t.Context(), "127.0.0.1:0", taken, "[::]:0")
	if err != nil {
		t.Fatal(err)
	}
	if got[1].String() != taken || got[0].Port() == got[2].Port() || got[0].Port() == 0 || got[0].Port() >= 32768 {
		t.Errorf("fixed: %v", got)
	}
	for _, addr := range got { // each address must be free
		ln, err := net.Listen("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
	}
	for _, bad := range []string{"", "127.0.0.1", "127.0.0.1:x"} {
		if _, err := freeport.Fix(t.Context(), bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
