package memlog_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/eventlogtest"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	eventlogtest.Run(t, func(t testing.TB) eventlog.Log {
		l := memlog.New()
		t.Cleanup(func() { _ = l.Close() })
		return l
	})
}

func TestShared(t *testing.T) {
	eventlogtest.RunShared(t, func(t testing.TB) [2]eventlog.Shared {
		l := memlog.New()
		t.Cleanup(func() { _ = l.Close() })
		return [2]eventlog.Shared{l, l}
	})
}
