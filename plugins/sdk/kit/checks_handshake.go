package kit

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/parley-gateway/parley/plugins/contract"
)

func handshakeChecks() []check {
	return []check{
		{
			group: "handshake", name: "line", run: checkLine,
			rule: "the first line on standard output is 1|1|unix|PATH|grpc, within 10 s",
		},
		{
			group: "handshake", name: "directory", run: checkDirectory,
			rule: "the socket lies in PLUGIN_UNIX_SOCKET_DIR",
		},
		{
			group: "handshake", name: "cookie", run: checkCookie,
			rule: "without the cookie variable it ends with an error and serves nothing",
		},
		{
			group: "handshake", name: "lifeline", run: checkLifeline,
			rule: "it leaves within 1 s when its standard input ends",
		},
		{
			group: "handshake", name: "sigterm", run: checkTerm,
			rule: "it leaves within 2 s of SIGTERM",
		},
	}
}

func checkLine(ctx context.Context, s *subject) error {
	p, err := s.launch()
	if err != nil {
		return err
	}
	f, err := p.handshake(ctx)
	if err != nil {
		return err
	}
	if f[0] != "1" || f[1] != strconv.Itoa(contract.ProtocolVersion) || f[2] != "unix" || f[4] != "grpc" {
		return fmt.Errorf("first line is %q, want 1|%d|unix|PATH|grpc", strings.Join(f, "|"), contract.ProtocolVersion)
	}
	return nil
}

func checkDirectory(ctx context.Context, s *subject) error {
	p, err := s.launch()
	if err != nil {
		return err
	}
	f, err := p.handshake(ctx)
	if err != nil {
		return err
	}
	if filepath.Dir(f[3]) != p.dir {
		return fmt.Errorf("socket %s is not in %s", f[3], p.dir)
	}
	return nil
}

func checkCookie(ctx context.Context, s *subject) error {
	// Of two entries for a variable in an environment the last one counts.
	p, err := s.launch(contract.MagicCookieKey + "=")
	if err != nil {
		return err
	}
	select {
	case line := <-p.line:
		if strings.Count(line, "|") >= 4 {
			return errors.New("it serves without the cookie")
		}
	case <-p.exited:
	case <-ctx.Done():
		return ctx.Err()
	}
	code, err := p.waitExit(2 * time.Second)
	if err != nil {
		return err
	}
	if code == 0 {
		return errors.New("it ended with code 0 without the cookie")
	}
	return nil
}

func checkLifeline(ctx context.Context, s *subject) error {
	p, err := s.configured(ctx)
	if err != nil {
		return err
	}
	if err := p.stdin.Close(); err != nil {
		return fmt.Errorf("close standard input: %w", err)
	}
	if _, err := p.waitExit(time.Second); err != nil {
		return fmt.Errorf("end of standard input: %w", err)
	}
	return nil
}

func checkTerm(ctx context.Context, s *subject) error {
	p, err := s.configured(ctx)
	if err != nil {
		return err
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	if _, err := p.waitExit(2 * time.Second); err != nil {
		return fmt.Errorf("SIGTERM: %w", err)
	}
	return nil
}
