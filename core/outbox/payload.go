package outbox

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/parley-gateway/parley/core/plugin"
)

// A row's payload is the thread to which the command belongs, so that the plugin can keep each
// thread's order, followed by what the command says: the opaque data of a deferred item, or the
// JSON of a plugin.CallCommand, plugin.MarkReadCommand or plugin.ToolEndCommand.

// joinPayload is the payload of a command that is sent as JSON.
func joinPayload(thread string, cmd any) ([]byte, error) {
	b, err := json.Marshal(cmd)
	if err != nil {
		return nil, err
	}
	return joinThread(thread, b), nil
}

// joinThread puts the length of the thread, the thread and data together.
func joinThread(thread string, data []byte) []byte {
	out := binary.AppendUvarint(make([]byte, 0, len(thread)+len(data)+4), uint64(len(thread)))
	return append(append(out, thread...), data...)
}

// splitThread returns the two parts that joinThread put together.
func splitThread(payload []byte) (thread string, data []byte, err error) {
	n, k := binary.Uvarint(payload)
	if k <= 0 || n > uint64(len(payload)-k) {
		return "", nil, fmt.Errorf("outbox: payload: no thread: %w", ErrUnreadable)
	}
	return string(payload[k : k+int(n)]), payload[k+int(n):], nil
}

// readPayload fills in the command, and its thread, from an opened payload. It fails with
// ErrUnreadable.
func readPayload(kind string, payload []byte, out *plugin.Outbound) error {
	thread, data, err := splitThread(payload)
	if err != nil {
		return err
	}
	out.Thread = thread
	switch kind {
	case KindProcess:
		out.Process = data
	case KindCall:
		out.Call = &plugin.CallCommand{}
		err = json.Unmarshal(data, out.Call)
	case KindMarkRead:
		out.MarkRead = &plugin.MarkReadCommand{}
		err = json.Unmarshal(data, out.MarkRead)
	case KindToolEnd:
		out.ToolEnd = &plugin.ToolEndCommand{}
		err = json.Unmarshal(data, out.ToolEnd)
	default:
		return fmt.Errorf("outbox: payload of a kind that this version does not know: %w", ErrUnreadable)
	}
	if err != nil { // its text may quote the payload
		return fmt.Errorf("outbox: payload of %s: %w", kind, ErrUnreadable)
	}
	return nil
}
