package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/parley-gateway/parley/plugins/contract"
)

// Errors that callers may test for, beside plugin.ErrTooLarge and plugin.ErrNotDurable. A webhook
// that fails with an error marked (503) was not made durable, so its carrier must be asked to send
// it again.
var (
	// ErrUnknownPlugin: no plugin with that id is loaded.
	ErrUnknownPlugin = errors.New("unknown plugin")
	// ErrUnknownAccount: no plugin serves the account, or it is disabled.
	ErrUnknownAccount = errors.New("unknown account")
	// ErrUnavailable: no generation of the plugin was ready in time (503).
	ErrUnavailable = errors.New("plugin not ready")
	// ErrGone: the plugin ended while the call was under way.
	ErrGone = errors.New("plugin gone")
	// ErrBusy: the waiting room for hooks is full (503).
	ErrBusy = errors.New("plugin busy")
	// ErrQuarantined: this very hook ended the plugin three times, so it is not given to the plugin
	// again for an hour (503).
	ErrQuarantined = errors.New("quarantined")
	// ErrNoHook: the plugin accepts no webhooks.
	ErrNoHook = errors.New("plugin takes no webhooks")
	// ErrMethod: the plugin accepts no webhooks with that HTTP method.
	ErrMethod = errors.New("method not taken")
	// ErrNotPinned: a third-party plugin has no pin, since nobody added it.
	ErrNotPinned = errors.New("not pinned")
	// ErrChanged: a third-party plugin differs from its pin.
	ErrChanged = errors.New("changed since it was pinned")
	// ErrClosed: the host is closed or draining.
	ErrClosed = errors.New("plugin host closed")
	// ErrLocked: another gateway uses the run directory.
	ErrLocked = errors.New("run directory in use")
)

// Causes of a generation's end other than a stream error or an exit.
var (
	errUnresponsive = errors.New("pings unanswered")
	errProtocol     = errors.New("contract violated")
	errLease        = errors.New("did not give up an account that this node holds no more")
)

// CallError says that a plugin answered a call with an error. It is neither a
// lost plugin (ErrGone) nor an impatient caller (the context's error).
type CallError struct {
	Plugin string
	Op     string // "describe", "configure" ...
	Reason string // reason in the contract's ErrorInfo; "" = none
	Err    error  // the gRPC status
}

// Error names plugin, operation, reason and status.
func (e *CallError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("%s: plugin %s: %s: %v", e.Op, e.Plugin, e.Reason, e.Err)
	}
	return fmt.Sprintf("%s: plugin %s: %v", e.Op, e.Plugin, e.Err)
}

// Unwrap returns the gRPC status error.
func (e *CallError) Unwrap() error { return e.Err }

// callError restores what a gRPC error hides: whether the caller gave up, the plugin is gone, or
// the call failed. gone is closed once the generation is over.
func callError(ctx context.Context, gone <-chan struct{}, plugin, op string, err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-gone:
		return fmt.Errorf("%s: plugin %s: %w", op, plugin, ErrGone)
	default:
	}
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("%s: plugin %s: %w", op, plugin, cause)
	}
	// The deadline may pass in the plugin a moment earlier than here.
	if at, ok := ctx.Deadline(); ok && status.Code(err) == codes.DeadlineExceeded && time.Until(at) < 100*time.Millisecond {
		return fmt.Errorf("%s: plugin %s: %w", op, plugin, context.DeadlineExceeded)
	}
	if status.Code(err) == codes.Unavailable {
		return fmt.Errorf("%s: plugin %s: %w: %w", op, plugin, ErrGone, err)
	}
	return &CallError{Plugin: plugin, Op: op, Reason: contract.Reason(err), Err: err}
}
