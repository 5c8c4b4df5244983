package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/gateway/control"
)

// demoInfo is the part that benches use of what a demo prints when it is ready: one JSON line,
// which is also in <data>/demo.json.
type demoInfo struct {
	PublicURL    string   `json:"public_url"`
	OpsURL       string   `json:"ops_url"`
	CustomerPage string   `json:"customer_page"`
	SMS          textLine `json:"sms"`
	Sandbox      struct {
		TwilioURL string `json:"twilio_url"`
	} `json:"sandbox"`
}

// textLine is the demo's SMS number as its carrier knows it.
type textLine struct {
	Account    string `json:"account"`
	Number     string `json:"number"`
	AccountSID string `json:"account_sid"`
	AuthToken  string `json:"auth_token"`
	WebhookURL string `json:"webhook_url"`
}

// system is a demo that runs as a child for a measurement.
type system struct {
	info demoInfo
	cfg  config.Config // to find its control socket
	cmd  *exec.Cmd
	done chan error
}

// startSystem runs this executable's demo in dir, with additional environment variables, and waits
// until it is ready.
func startSystem(ctx context.Context, dir string, stderr io.Writer, env ...string) (*system, error) {
	s := &system{done: make(chan error, 1)}
	s.cmd = exec.Command("/proc/self/exe", "demo", "--json", "--data", dir, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0") //nolint:noctx // stopped in order, below
	s.cmd.Args[0] = "parley"
	s.cmd.Env = append(append(os.Environ(), "PARLEY_LOG__LEVEL=warn"), env...)
	s.cmd.Stderr = stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	line := make(chan []byte, 1)
	go func() {
		sc := bufio.NewScanner(out)
		if sc.Scan() {
			line <- slices.Clone(sc.Bytes())
		}
		s.done <- s.cmd.Wait()
	}()
	select {
	case b := <-line:
		if err := json.Unmarshal(b, &s.info); err != nil {
			return nil, errors.Join(err, s.stop())
		}
	case err := <-s.done:
		return nil, fmt.Errorf("the demo ended: %w", err)
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), s.stop())
	}
	s.cfg, err = config.Load("", []string{config.EnvName("data") + "=" + dir})
	return s, err
}

// stop stops the demo in an orderly way; it must have ended before the data folder is removed.
func (s *system) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
		return nil
	case <-time.After(20 * time.Second):
		return errors.Join(errors.New("the demo did not stop"), s.cmd.Process.Kill())
	}
}

// websocket turns an http URL into a ws one.
func websocket(base, path string) string { return "ws" + strings.TrimPrefix(base, "http") + path }

func (s *system) chatSocket() string {
	return websocket(strings.SplitAfter(s.info.CustomerPage, "/p/webchat/")[0], "ws")
}

func (s *system) textLine() (textLine, error) {
	if s.info.SMS.WebhookURL == "" {
		return textLine{}, errors.New("the demo has no SMS number")
	}
	return s.info.SMS, nil
}

// apply makes the records of the running gateway what the text of a file says.
func (s *system) apply(ctx context.Context, records []byte) error {
	_, err := control.Client{RunDir: s.cfg.RunDir()}.Do(ctx, control.Apply{Path: "/bench.yaml", Text: records})
	return err
}

// storeEnv is the environment for a store other than the embedded one.
func storeEnv(dsn string) []string {
	if dsn == "" {
		return nil
	}
	return []string{"PARLEY_STORE=" + dsn}
}

// gatewayLog is where a system's log is written; nil: it is dropped.
func gatewayLog(show bool) io.Writer {
	if show {
		return os.Stderr
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
