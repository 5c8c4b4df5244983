package kit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
)

// needsProc: the resources of a process are read from /proc, which only Linux has.
func needsProc(*subject) string {
	if runtime.GOOS != "linux" {
		return "needs /proc"
	}
	return ""
}

func resourceChecks() []check {
	return []check{
		{
			group: "resources", name: "memory", run: checkMemory, needs: needsProc,
			rule: "after traffic in many threads its resident memory is within the limit",
		},
		{
			group: "resources", name: "descriptors", run: checkDescriptors, needs: needsProc,
			rule: "lost sessions leave no file descriptors behind",
		},
		{
			group: "resources", name: "idle", run: checkIdle, needs: needsProc,
			rule: "with nothing to do it uses less than 5 % of a processor",
		},
		{
			group: "resources", name: "log", run: checkLog,
			rule: "no message text in the log, no line over 64 KiB, fewer than 200 lines/s",
		},
	}
}

// traffic sends the plugin some of everything that it accepts, in many threads.
func (s *subject) traffic(ctx context.Context, ses *wirehost.Session) error {
	if needsCommands(s) == "" {
		if _, err := s.deliver(ctx, ses, 0, 20*contract.AccountWindow, 1<<20); err != nil {
			return err
		}
	}
	if needsHook(s) == "" {
		for batch := range uint64(16) {
			var hooks []*pluginv1.Hook
			for i := range uint64(contract.MaxFrameItems) {
				h := Hook{Body: strings.Repeat("x", 1000)}
				if n := len(s.opts.Fixtures.Hooks); n > 0 {
					h = s.opts.Fixtures.Hooks[int(i)%n]
				}
				hooks = append(hooks, s.opts.Fixtures.hook(&h, 1<<20+batch*contract.MaxFrameItems+i))
			}
			if err := ses.Hook(hooks...); err != nil {
				return err
			}
			for _, h := range hooks {
				limit, cancel := context.WithTimeout(ctx, hookLimit(s))
				_, err := ses.HookResult(limit, h.GetId())
				cancel()
				if err != nil {
					return fmt.Errorf("no answer to a hook under load: %w", err)
				}
			}
		}
	}
	return ping(ctx, ses, 1<<30, 2*time.Second)
}

func checkMemory(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	if err := s.traffic(ctx, ses); err != nil {
		return err
	}
	text, err := os.ReadFile(p.proc("statm"))
	if err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return errors.New("memory: statm is empty")
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	if rss := pages * uint64(os.Getpagesize()); rss > s.opts.MaxRSS {
		return fmt.Errorf("%d MiB resident, the limit is %d MiB", rss>>20, s.opts.MaxRSS>>20)
	}
	return nil
}

func (p *process) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), name)
}

func checkDescriptors(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	count := func() (int, error) {
		list, err := os.ReadDir(p.proc("fd"))
		return len(list), err
	}
	before, err := count()
	if err != nil {
		return fmt.Errorf("descriptors: %w", err)
	}
	for range 20 {
		ses.Cut()
		if ses, err = p.session(ctx, nil, wirehost.Policy{}); err != nil {
			return err
		}
	}
	after, err := count()
	if err != nil {
		return fmt.Errorf("descriptors: %w", err)
	}
	if after > before+8 {
		return fmt.Errorf("%d descriptors, %d before 20 lost sessions", after, before)
	}
	return nil
}

// cpu is the CPU time that the process has used so far, in the kernel's ticks of 10 ms.
func (p *process) cpu() (time.Duration, error) {
	text, err := os.ReadFile(p.proc("stat"))
	if err != nil {
		return 0, fmt.Errorf("processor time: %w", err)
	}
	// The name in brackets may contain anything, so count from its end: utime and stime are fields
	// 12 and 13 after it.
	_, rest, _ := strings.Cut(string(text[max(0, strings.LastIndexByte(string(text), ')')):]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("processor time: stat is short")
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

func checkIdle(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	never := func(wirehost.Item) bool { return false }
	if err := quiet(ctx, ses, 500*time.Millisecond, never); err != nil { // wait until the plugin is at rest
		return err
	}
	before, err := p.cpu()
	if err != nil {
		return err
	}
	if err := quiet(ctx, ses, 2*time.Second, never); err != nil {
		return err
	}
	after, err := p.cpu()
	if err != nil {
		return err
	}
	if used := after - before; used > 100*time.Millisecond {
		return fmt.Errorf("%v of processor time in 2 s", used)
	}
	return nil
}

func checkLog(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	began := time.Now()
	if err := s.traffic(ctx, ses); err != nil {
		return err
	}
	took := max(time.Since(began), time.Second)
	if strings.Contains(p.output(), canary) {
		return errors.New("the log shows message text")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.long > 64<<10 {
		return fmt.Errorf("a line of %d bytes", p.long)
	}
	// The host lets 1,000 lines pass at once.
	if allowed := 1000 + int(200*took.Seconds()); p.lines > allowed {
		return fmt.Errorf("%d lines in %v", p.lines, took.Round(time.Millisecond))
	}
	return nil
}
