package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// crashed records what a generation that ended by itself had under way, and cleans up in the
// background; the next generation need not wait for that.
func (p *hosted) crashed(g *generation) {
	p.uninstall(g)
	p.forget(g)
	cause := g.session.cause()
	if g.proc != nil {
		if !errors.Is(cause, errUnresponsive) && !errors.Is(cause, errProtocol) && !errors.Is(cause, errLease) {
			select { // the stream breaks before the process has ended
			case <-g.proc.exited:
			case <-time.After(exitGrace):
			}
		}
		g.kill()
		<-g.proc.exited
	}
	g.session.fail(ErrGone)
	<-g.session.done
	p.setState(StateCrashed, describeEnd(g, cause))
	inFlight, parked := p.judge(g, cause)
	p.mu.Lock()
	p.restarts++
	// If the item that caused the crash was found, the next start need not wait. If the crash
	// narrowed the search, it waits only for a short time.
	p.blaming = len(inFlight) > 0
	if parked || time.Since(g.ready) >= steadyAfter {
		p.failures = 0
	} else {
		p.failures++
	}
	if p.fallback != nil && time.Now().Before(p.backTill) {
		g.log.Warn("upgrade taken back: the new generation crashed")
		p.launch, p.fallback = *p.fallback, nil
	}
	p.mu.Unlock()
	p.host.wg.Go(func() {
		ctx, cancel := context.WithTimeout(p.host.ctx, resultTimeout)
		defer cancel()
		p.settleUp(ctx, g)
		g.stop(false)
		p.report(g, cause)
	})
}

// judge decides whether an item that was alone ended the plugin, counts what else was under way,
// and sends waiting hooks to the next generation. parked: such an item was found; inFlight: the
// other items.
func (p *hosted) judge(g *generation, cause error) (inFlight []suspect, parked bool) {
	inFlight, alone := g.session.suspects()
	if errors.Is(cause, errLease) { // nothing that it did ended it
		g.session.failHooks()
		return nil, false
	}
	if alone != nil {
		one := alone.suspect()
		inFlight = slices.DeleteFunc(inFlight, func(s suspect) bool { return s.key == one.key })
		if alone.lane == laneStranger { // it was sent beside items that were under way already, and those are not suspected
			inFlight = nil
		}
		shared := p.poison.park(one, time.Since(g.session.solo.began))
		p.meters.quarantined.Inc()
		if alone.hook != nil {
			alone.hook.answer(hookOutcome{err: ErrQuarantined})
			g.log.Error("hook parked: it ended the plugin while it was alone", "account", alone.hook.account.String())
			if shared {
				p.poison.told.Do(func() {
					g.log.Warn("webhooks that end the plugin come from an address whose others it answers: "+
						"if that is a reverse proxy's, name it in http.trusted_proxies",
						"account", alone.hook.account.String(), "address", one.source.addr.String())
				})
			}
		} else {
			g.session.parkCommand(alone.command)
			g.log.Error("command parked: it ended the plugin while it was alone",
				"command_id", uuid.UUID(alone.command.id).String(), "account", alone.command.account.String())
		}
	}
	p.poison.crash(inFlight)
	g.session.failHooks()
	return inFlight, alone != nil
}

// settleUp tells the core that the generation is gone, once the results that arrived are stored.
// The core knows which commands are left, since it answered Begin.
func (p *hosted) settleUp(ctx context.Context, g *generation) {
	g.session.awaitResults(ctx)
	p.host.opts.Core.PluginGone(p.id, g.instance)
}

// describeEnd names the cause of a crash without quoting the plugin's output.
func describeEnd(g *generation, cause error) string {
	if errors.Is(cause, errUnresponsive) || errors.Is(cause, errProtocol) || errors.Is(cause, errLease) {
		return cause.Error()
	}
	if g.proc != nil {
		code, signal := g.proc.exit()
		if signal != "" {
			return "signal " + signal
		}
		return fmt.Sprintf("exit code %d", code)
	}
	if cause == nil {
		return "session ended"
	}
	return cause.Error()
}

func crashClass(g *generation, cause error) string {
	switch {
	case errors.Is(cause, errUnresponsive):
		return "unresponsive"
	case errors.Is(cause, errProtocol):
		return "protocol"
	case errors.Is(cause, errLease):
		return "lease"
	case g.proc == nil:
		return "stream"
	}
	if _, signal := g.proc.exit(); signal != "" {
		return "signal"
	}
	return "exit"
}

// report writes the crash event when the plugin's output has been read to its end.
func (p *hosted) report(g *generation, cause error) {
	c := &Crash{Cause: crashClass(g, cause), Error: describeEnd(g, cause)}
	p.meters.restart(c.Cause)
	p.book(g, c)
	g.log.Error("plugin crashed", "cause", c.Cause, "err", c.Error, "exit_code", c.ExitCode, "signal", c.Signal, "output", c.Output)
}

// book completes a crash report and stores it.
func (p *hosted) book(g *generation, c *Crash) {
	c.At, c.Generation, c.ExitCode = time.Now(), g.number, -1
	if g.proc != nil {
		c.ExitCode, c.Signal = g.proc.exit()
		c.Output = g.proc.pump.last()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.crash = c
	p.notify()
}

// startFailed records a start after which no generation is ready.
func (p *hosted) startFailed(g *generation, err error) {
	p.meters.restart("start")
	p.mu.Lock()
	p.failures++
	p.blaming = false
	p.restarts++
	if p.fallback != nil && time.Now().Before(p.backTill) {
		p.launch, p.fallback = *p.fallback, nil
	}
	p.mu.Unlock()
	c := &Crash{Cause: "start", Error: err.Error()}
	p.book(g, c)
	g.log.Error("plugin did not start", "err", err, "exit_code", c.ExitCode, "signal", c.Signal, "output", c.Output)
	p.setState(StateCrashed, err.Error())
}
