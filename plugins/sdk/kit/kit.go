// Package kit is the conformance kit of parley.plugin.v1: it starts any executable as the gateway
// would and checks from outside, over the socket, that it keeps the contract's rules. Plugins run
// it in their tests, and a command can run it, too.
//
// Every check starts a process of its own, so one fault does not hide another. A check is skipped
// only where the plugin does not declare the ability in question, or where the fixtures contain
// nothing to try it with; the report says which.
package kit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Options name the plugin and what the kit tries it with.
type Options struct {
	Exec string   // the program to start
	Args []string // its arguments
	Env  []string // KEY=VALUE, besides what the contract sets; the plugin does not get the kit's own environment

	Fixtures Fixtures
	Groups   []string // run these groups only; nil = all
	Checks   []string // run these checks only, each "group/name"; nil = all
	// Patience is how long a command may take; 0 = 20 s. With a sandbox in place of the vendor less
	// is enough.
	Patience time.Duration
	// MaxRSS bounds the resident memory after load, in bytes; 0 = 256 MiB.
	MaxRSS uint64
	// Progress gets a line for each check when it ends; nil = none.
	Progress io.Writer
}

// check tests one rule of the contract.
type check struct {
	group, name string
	rule        string                  // the rule in a sentence
	needs       func(s *subject) string // returns why the check does not apply; "" = it applies
	run         func(ctx context.Context, s *subject) error
}

// checkTime is how long one check may take.
const checkTime = time.Minute

// Groups are the names of the kit's groups, in order.
func Groups() []string {
	var names []string
	for _, c := range checks() {
		if !slices.Contains(names, c.group) {
			names = append(names, c.group)
		}
	}
	return names
}

func checks() []check {
	return slices.Concat(
		handshakeChecks(), descriptorChecks(), configurationChecks(), sessionChecks(), commandChecks(),
		eventChecks(), hookChecks(), drainChecks(), crashChecks(), httpChecks(), metricsChecks(), resourceChecks(),
		newChecks(), toolChecks(), standbyChecks(),
	)
}

// Run tries the plugin. The error says why the kit could not run; whether the plugin fails is in
// the Report.
func Run(ctx context.Context, opts Options) (Report, error) {
	if opts.Exec == "" {
		return Report{}, errors.New("kit: no executable")
	}
	for _, g := range opts.Groups {
		if !slices.Contains(Groups(), g) {
			return Report{}, fmt.Errorf("kit: no group %q", g)
		}
	}
	if opts.Patience == 0 {
		opts.Patience = 20 * time.Second
	}
	if opts.MaxRSS == 0 {
		opts.MaxRSS = 256 << 20
	}
	opts.Fixtures.complete()
	s := &subject{opts: opts}
	s.fresh()
	report := Report{Plugin: opts.Exec}

	// What the plugin declares decides which checks apply. A plugin that does not answer Describe
	// fails the descriptor checks below.
	if d, err := s.describe(ctx); err == nil {
		s.desc = d
		report.Plugin, report.Version = d.GetId(), d.GetVersion()
		s.leased = s.oneNode(ctx)
	} else {
		s.desc = &pluginv1.DescribeResponse{}
	}
	for _, c := range checks() {
		if len(opts.Groups) > 0 && !slices.Contains(opts.Groups, c.group) ||
			len(opts.Checks) > 0 && !slices.Contains(opts.Checks, c.group+"/"+c.name) {
			continue
		}
		if ctx.Err() != nil {
			return report, ctx.Err()
		}
		r := s.one(ctx, c)
		report.Checks = append(report.Checks, r)
		if opts.Progress != nil {
			_, _ = fmt.Fprintln(opts.Progress, r.line())
		}
	}
	return report, nil
}

func (s *subject) one(ctx context.Context, c check) Check {
	out := Check{Group: c.group, Name: c.name, Rule: c.rule}
	if c.needs != nil {
		if why := c.needs(s); why != "" {
			out.Status, out.Detail = Skipped, why
			return out
		}
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	s.fresh()
	err := c.run(ctx, s)
	tail := s.cleanUp()
	out.Duration = time.Since(began)
	if err != nil {
		out.Status, out.Detail, out.Log = Failed, err.Error(), tail
		return out
	}
	out.Status = Passed
	return out
}
