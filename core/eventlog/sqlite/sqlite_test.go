package sqlite_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/eventlogtest"
	"github.com/parley-gateway/parley/core/eventlog/sqlite"
)

// TestMain also runs the child processes of the fault tests.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		runChild(dir)
	}
	goleak.VerifyTestMain(m)
}

func openLog(t testing.TB, dir string) *sqlite.Log {
	t.Helper()
	l, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatalf("Open(%s): %v", dir, err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

func TestSuite(t *testing.T) {
	eventlogtest.Run(t, func(t testing.TB) eventlog.Log { return openLog(t, t.TempDir()) })
}
