package pgtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-gateway/parley/internal/freeport"
)

// Cluster is a running server. Safe for concurrent use, except for Stop, Crash, Freeze, Thaw and
// Start.
type Cluster struct {
	dir  string // contains data, socket and log
	bin  string
	port int
	as   *syscall.Credential // nil: the user who runs the tests
	n    atomic.Int64        // how many databases were made
	tmpl string              // the database that Database copies
}

// waitReady is how long the start and the stop of a server may take.
const waitReady = 60 * time.Second

// Start makes a cluster and starts it, with settings such as "max_connections=50". fsync is off
// unless the settings say otherwise, because tests kill processes and never cut the power. The
// caller stops the cluster, in TestMain after all tests.
func Start(settings ...string) (_ *Cluster, err error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	// Directly in /tmp, because the path of a socket must be short.
	dir, err := os.MkdirTemp("", "parley-pg-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, bin: bin}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	if os.Geteuid() == 0 {
		if c.as, err = owner("postgres"); err != nil {
			return nil, err
		}
		if err := os.Chown(dir, int(c.as.Uid), int(c.as.Gid)); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*waitReady)
	defer cancel()
	at, err := freeport.Fix(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c.port = int(at[0].Port())
	if err := c.run(ctx, "initdb", "-D", c.Data(), "-U", "parley", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"); err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(`listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = '%s'
max_connections = 100
shared_buffers = 64MB
autovacuum_naptime = 10s
fsync = off
deadlock_timeout = 100ms
log_destination = stderr
logging_collector = off
%s
`, c.port, dir, strings.Join(settings, "\n"))
	f, err := os.OpenFile(filepath.Join(c.Data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(conf)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return c, c.Restart(ctx)
}

// Data is the folder of the database files.
func (c *Cluster) Data() string { return filepath.Join(c.dir, "data") }

// Restart starts the server again after Crash, and returns when it accepts connections.
func (c *Cluster) Restart(ctx context.Context) error {
	return c.run(ctx, "pg_ctl", "-D", c.Data(), "-w", "-t", strconv.Itoa(int(waitReady.Seconds())), "-s", "-l", filepath.Join(c.dir, "log"), "start")
}

// Crash stops the server at once, as if its processes had been killed: it has to recover when it is
// started again.
func (c *Cluster) Crash(ctx context.Context) error {
	return c.run(ctx, "pg_ctl", "-D", c.Data(), "-w", "-s", "-m", "immediate", "stop")
}

// Freeze stops all processes of the server with SIGSTOP until Thaw: connections stay open, but
// nothing answers.
func (c *Cluster) Freeze() error { return c.signal(syscall.SIGSTOP) }

// Thaw lets the server's processes continue.
func (c *Cluster) Thaw() error { return c.signal(syscall.SIGCONT) }

// signal sends a signal to the server's main process, which alone starts others, and then to that
// one's children.
func (c *Cluster) signal(sig syscall.Signal) error {
	file, err := os.ReadFile(filepath.Join(c.Data(), "postmaster.pid"))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(file), "\n")
	server, err := strconv.Atoi(first)
	if err != nil {
		return fmt.Errorf("postmaster.pid: %w", err)
	}
	if err := syscall.Kill(server, sig); err != nil {
		return fmt.Errorf("signal the server: %w", err)
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return err
	}
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil { // the process has ended
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ") // the fields after the name: state, parent, and so on
		f := strings.Fields(rest)
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil || len(f) < 2 || f[1] != first {
			continue
		}
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal a process of the server: %w", err)
		}
	}
	return nil
}

// Stop ends the server and removes its folder.
func (c *Cluster) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), waitReady)
	defer cancel()
	var err error
	if _, statErr := os.Stat(filepath.Join(c.Data(), "postmaster.pid")); statErr == nil {
		_ = c.Thaw() // a test may have ended between Freeze and Thaw
		err = c.Crash(ctx)
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}

// run runs one of PostgreSQL's commands. Its output goes through a file, because a server that was
// started must not keep the test's own output open.
func (c *Cluster) run(ctx context.Context, name string, args ...string) error {
	out, err := os.CreateTemp(c.dir, "out-")
	if err != nil {
		return err
	}
	defer func() { _ = out.Close(); _ = os.Remove(out.Name()) }()
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, name), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, out, out
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=" + c.dir}
	if c.as != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as}
	}
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		logged, _ := os.ReadFile(filepath.Join(c.dir, "log"))
		return fmt.Errorf("%s: %w\n%s\n%s", name, err, bytes.TrimSpace(said), bytes.TrimSpace(logged))
	}
	return nil
}

// Addr is the server's address on the loopback interface, host:port.
func (c *Cluster) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)) }

// Socket is the server's unix socket.
func (c *Cluster) Socket() string { return filepath.Join(c.dir, ".s.PGSQL."+strconv.Itoa(c.port)) }

// DSN is the connection string for a database of the cluster, through its unix socket.
func (c *Cluster) DSN(database string) string {
	return fmt.Sprintf("postgres://parley@/%s?host=%s&port=%d", database, c.dir, c.port)
}

// At is the connection string for a database of the cluster at another address, such as a relay's.
func (c *Cluster) At(addr, database string) string {
	return fmt.Sprintf("postgres://parley@%s/%s?sslmode=disable", addr, database)
}

// Database makes an empty database, or a copy of the one that Prepare made, and returns its name.
// It exists as long as the cluster.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("t%d", c.n.Add(1))
	c.Exec(t, "postgres", "CREATE DATABASE "+name+" TEMPLATE "+cmp.Or(c.tmpl, "template1"))
	return name
}

// Prepare makes a database and calls fill for it; from then on Database makes copies of it. fill
// must close its connections.
func (c *Cluster) Prepare(ctx context.Context, fill func(dsn string) error) error {
	conn, err := pgx.Connect(ctx, c.DSN("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE prepared")
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		return err
	}
	c.tmpl = "prepared"
	return fill(c.DSN("prepared"))
}

// Exec runs one statement in a database.
func (c *Cluster) Exec(t testing.TB, database, text string, args ...any) {
	t.Helper()
	conn := c.Connect(t, database)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), text, args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// Connect opens a connection for the test.
func (c *Cluster) Connect(t testing.TB, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.DSN(database))
	if err != nil {
		t.Fatalf("connect to %s: %v", database, err)
	}
	return conn
}

// ErrMissing: the PostgreSQL server is not installed.
var ErrMissing = errors.New("PostgreSQL's server is not installed (Debian: apt-get install postgresql; `make test` does it where it may)")

// binaries is the folder that contains initdb and postgres: the newest that Debian has installed,
// or the one in PATH.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		version := func(p string) int { n, _ := strconv.Atoi(strings.Split(p, "/")[4]); return n }
		newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
		return filepath.Dir(newest), nil
	}
	p, err := exec.LookPath("initdb")
	if err != nil {
		return "", ErrMissing
	}
	return filepath.Dir(p), nil
}

func owner(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no other user for it: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}
