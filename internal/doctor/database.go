package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/eventlog/postgres"
	"github.com/parley-gateway/parley/core/eventlog/sqlite"
)

// Database checks that the configured store can be read, and for a PostgreSQL server whether its
// acknowledgements mean that data is safe.
func Database(ctx context.Context, cfg config.Config) []Finding {
	if cfg.DSN() != "" {
		return checkServer(ctx, "database", "store", cfg.Store, cfg.DSN())
	}
	f := Finding{Name: "database", Status: "ok"}
	log, err := sqlite.OpenReadOnly(ctx, sqlite.Options{Dir: cfg.Data})
	switch {
	case errors.Is(err, os.ErrNotExist):
		f.Detail = "is not there yet; the first start makes it"
		return []Finding{f}
	case err != nil:
		f.Status, f.Detail, f.Fix = "fail", err.Error(), "see the gateway's log; restore a backup if it is damaged"
		return []Finding{f}
	}
	defer func() { _ = log.Close() }()
	if _, err := log.Tail(ctx, 0, 1); err != nil {
		f.Status, f.Detail, f.Fix = "fail", err.Error(), "see the gateway's log; restore a backup if it is damaged"
		return []Finding{f}
	}
	f.Detail = log.Path() + " can be read"
	return []Finding{f}
}

// maxClockOffset is how far a node's clock may differ from the database's before times in
// transcripts look wrong. Order and leases do not depend on it.
const maxClockOffset = 2 * time.Second

// checkServer checks a PostgreSQL server: connection, version, the settings that decide whether
// acknowledged data is safe, and the time. name is what the server is, key where it is configured.
func checkServer(ctx context.Context, name, key string, store config.Store, dsn string) []Finding {
	f := Finding{Name: name, Status: "ok"}
	s, err := postgres.Probe(ctx, dsn)
	if err != nil {
		f.Status, f.Detail, f.Fix = "fail", fmt.Sprintf("%s: %v", store, err), "check "+key+", the password, the server's pg_hba.conf and the network between"
		return []Finding{f}
	}
	f.Detail = fmt.Sprintf("%s answers in %v, PostgreSQL %d.%d", store, s.RoundTrip.Round(10*time.Microsecond), s.Version/10000, s.Version%10000)
	if err := s.Fits(); err != nil {
		f.Status, f.Detail, f.Fix = "fail", err.Error(), "use another server, or make the database with: createdb --encoding=UTF8 --template=template0"
		return []Finding{f}
	}
	out := []Finding{f}
	prefix := strings.TrimSuffix(name, "database") // "key durability" beside the log's "durability"
	for _, w := range s.Warnings() {
		problem, fix, _ := strings.Cut(w, "; ")
		out = append(out, Finding{Name: prefix + "durability", Status: "warn", Detail: problem, Fix: fix})
	}
	if s.StandbyNames == "" {
		out = append(out, Finding{Name: prefix + "standby", Status: "warn", Detail: "no synchronous standby: what was just acknowledged is lost with the server's disk", Fix: "set synchronous_standby_names, if that is not acceptable"})
	}
	clock := Finding{Name: name + " clock", Status: "ok", Detail: "agrees with this machine's"}
	if d := time.Since(s.Clock).Abs(); d > maxClockOffset {
		clock.Status, clock.Detail, clock.Fix = "warn", fmt.Sprintf("is %v off this machine's", d.Round(time.Millisecond)), "keep both in time (NTP)"
	}
	return append(out, clock)
}
