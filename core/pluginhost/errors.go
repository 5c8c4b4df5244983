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

// Errors that callers may test for, beside plugin.ErrTooLarge and
// plugin.ErrNotDurable. A webhook that meets one marked (503) was
// not made durable and should be sent again by its carrier.
var (
	// ErrUnknownPlugin: no plugin of that id is loaded.
	ErrUnknownPlugin = errors.New("unknown plugin")
	// ErrUnknownAccount: no plugin serves the account, or it is disabled.
	ErrUnknownAccount = errors.New("unknown account")
	// ErrUnavailable: no generation of the plugin was ready in time (503).
	ErrUnavailable = errors.New("plugin not ready")
	// ErrGone: the plugin ended while the call was under way.
	ErrGone = errors.New("plugin gone")
	// ErrBusy: the waiting room for hooks is full (503).
	ErrBusy = errors.New("plugin busy")
	// ErrQuarantined: this very hook ended the plugin three times; it is not
	// handed over again for an hour (503).
	ErrQuarantined = errors.New("quarantined")
	// ErrNoHook: the plugin takes no webhooks.
	ErrNoHook = errors.New("plugin takes no webhooks")
	// ErrMethod: the plugin takes no webhooks of that HTTP method.
	ErrMethod = errors.New("method not taken")
	// ErrNotPinned: a third-party plugin was never added.
	ErrNotPinned = errors.New("not pinned")
	// ErrChanged: a third-party plugin differs from its pin.
	ErrChanged = errors.New("changed since it was pinned")
	// ErrClosed: the host is closed or draining.
	ErrClosed = errors.New("plugin host closed")
	// ErrLocked: another gateway uses the run directory.
	ErrLocked = errors.New("run directory in use")
)

// Causes of a generation's end beside a stream error or an exit.
var (
	errUnresponsive = errors.New("3 pings unanswered")
	errProtocol     = errors.New("contract violated")
)

// CallError says that a plugin answered a call with an error. It is neither a
// lost plugin (ErrGone) nor an impatient caller (the context's error).
type CallError struct {
	Plugin string
	Op     string // "describe", "configure" ...
	Reason string // of the contract's ErrorInfo; "" = none
	Err    error  // the gRPC status
}

// Error names plugin, operation, reason and status.
func (e *CallError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("%s: plugin %s: %s: %v", e.Op, e.Plugin, e.Reason, e.Err)
	}
	return fmt.Sprintf("%s: plugin %s: %v", e.Op, e.Plugin, e.Err)
}

// Unwrap gives the gRPC status error.
func (e *CallError) Unwrap() error { return e.Err }

// callError rebuilds what a gRPC error lost: whether the caller gave up, the
// plugin is gone, or the call failed. gone is closed once the generation is over.
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
	// The plugin's copy of the deadline may pass a moment before ours does.
	if at, ok := ctx.Deadline(); ok && status.Code(err) == codes.DeadlineExceeded && time.Until(at) < 100*time.Millisecond {
		return fmt.Errorf("%s: plugin %s: %w", op, plugin, context.DeadlineExceeded)
	}
	if status.Code(err) == codes.Unavailable {
		return fmt.Errorf("%s: plugin %s: %w: %w", op, plugin, ErrGone, err)
	}
	return &CallError{Plugin: plugin, Op: op, Reason: contract.Reason(err), Err: err}
}
