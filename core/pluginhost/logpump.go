package pluginhost

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Limits of a plugin's log (plugin-notes.md 6).
const (
	maxLogLine  = 64 << 10 // bytes; the rest of a longer line is dropped
	logRate     = 200      // lines a second
	logBurst    = 1000     // lines
	logTail     = 64 << 10 // bytes of standard error kept for the crash report
	maxLogAttrs = 24
	maxLogText  = 1 << 10 // bytes of one attribute
)

// logPump reads a plugin's output, so that the plugin never blocks on it, and turns it into records
// of the gateway's log.
type logPump struct {
	log     *slog.Logger
	limiter *rate.Limiter
	dropped *atomic.Uint64 // number of dropped lines, over all generations
	missing atomic.Uint64  // number of lines dropped since the last record
	panics  atomic.Bool    // a Go panic is being printed

	mu   sync.Mutex
	tail []byte
}

func newLogPump(log *slog.Logger, dropped *atomic.Uint64) *logPump {
	return &logPump{log: log, limiter: rate.NewLimiter(logRate, logBurst), dropped: dropped}
}

// readStdout writes the handshake line to w and logs everything else.
func (p *logPump) readStdout(r io.Reader, w io.Writer) {
	found := false
	eachLine(r, func(line []byte) {
		if !found && isHandshake(line) {
			found = true
			// A failed write means that go-plugin has given up; then the start fails.
			_, _ = w.Write(append(bytes.Clone(line), '\n'))
			return
		}
		if p.allow() {
			p.emit(time.Time{}, slog.LevelInfo, string(line), slog.String("stream", "stdout"))
		}
	})
}

func (p *logPump) readStderr(r io.Reader) {
	eachLine(r, func(line []byte) {
		p.keep(line)
		p.handle(line)
	})
}

func (p *logPump) handle(line []byte) {
	if bytes.HasPrefix(line, []byte("panic:")) || bytes.HasPrefix(line, []byte("fatal error:")) {
		p.panics.Store(true)
	}
	if !p.allow() { // checked before the line is parsed, so that a flood costs little
		return
	}
	if rec, ok := parseLogLine(line); ok {
		p.emit(rec.at, rec.level, rec.msg, rec.attrs...)
		return
	}
	level := slog.LevelInfo
	if p.panics.Load() {
		level = slog.LevelError
	}
	p.emit(time.Time{}, level, string(line), slog.String("stream", "stderr"))
}

// allow reports whether the rate permits another line, and counts the refused ones.
func (p *logPump) allow() bool {
	if p.limiter.Allow() {
		return true
	}
	p.dropped.Add(1)
	p.missing.Add(1)
	return false
}

func (p *logPump) emit(at time.Time, level slog.Level, msg string, attrs ...slog.Attr) {
	ctx := context.Background() // slog's Handler needs a context; nothing waits for it here
	if n := p.missing.Swap(0); n > 0 {
		p.log.LogAttrs(ctx, slog.LevelWarn, "plugin logs too much: lines dropped", slog.Uint64("lines", n))
	}
	if !p.log.Enabled(ctx, level) {
		return
	}
	if at.IsZero() {
		at = time.Now()
	}
	rec := slog.NewRecord(at, level, msg, 0)
	rec.AddAttrs(attrs...)
	_ = p.log.Handler().Handle(ctx, rec) // if the log cannot be written, this cannot be logged either
}

// keep appends a line to the output kept for the crash report.
func (p *logPump) keep(line []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.tail)+len(line)+1 > 2*logTail {
		p.tail = append(p.tail[:0], p.tail[len(p.tail)-logTail:]...)
	}
	p.tail = append(append(p.tail, line...), '\n')
}

// last returns the last 64 KiB of what the plugin wrote to standard error.
func (p *logPump) last() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.tail[max(0, len(p.tail)-logTail):])
}

// eachLine calls f with each line, cut at maxLogLine, until r ends. f must not keep the line after
// the call.
func eachLine(r io.Reader, f func([]byte)) {
	br := bufio.NewReaderSize(r, maxLogLine)
	for {
		line, err := br.ReadSlice('\n')
		if len(line) > 0 {
			f(bytes.TrimRight(line, "\r\n"))
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = br.ReadSlice('\n')
		}
		if err != nil {
			return
		}
	}
}

// isHandshake recognizes go-plugin's handshake line: digits, bar, digits, bar, network, bar.
func isHandshake(line []byte) bool {
	fields := bytes.SplitN(line, []byte("|"), 4)
	if len(fields) < 4 || !digits(fields[0]) || !digits(fields[1]) {
		return false
	}
	network := string(fields[2])
	return network == "unix" || network == "tcp"
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

type logRecord struct {
	at    time.Time
	level slog.Level
	msg   string
	attrs []slog.Attr
}

// parseLogLine reads slog's JSON form: time, level, msg and scalar attributes.
func parseLogLine(line []byte) (logRecord, bool) {
	if len(line) == 0 || line[0] != '{' {
		return logRecord{}, false
	}
	var fields map[string]any
	if json.Unmarshal(line, &fields) != nil {
		return logRecord{}, false
	}
	msg, ok := fields["msg"].(string)
	if !ok {
		return logRecord{}, false
	}
	rec := logRecord{msg: cut(msg, maxLogLine), level: slog.LevelInfo}
	if s, ok := fields["level"].(string); ok {
		if rec.level.UnmarshalText([]byte(s)) != nil {
			rec.level = slog.LevelInfo
		}
	}
	if s, ok := fields["time"].(string); ok {
		if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
			rec.at = at
		}
	}
	for key, value := range fields {
		switch key {
		case "time", "level", "msg", "plugin", "generation":
			continue
		}
		switch v := value.(type) {
		case string:
			rec.attrs = append(rec.attrs, slog.String(key, cut(v, maxLogText)))
		case float64, bool:
			rec.attrs = append(rec.attrs, slog.Any(key, v))
		}
	}
	slices.SortFunc(rec.attrs, func(a, b slog.Attr) int { return strings.Compare(a.Key, b.Key) })
	if len(rec.attrs) > maxLogAttrs {
		rec.attrs = rec.attrs[:maxLogAttrs]
	}
	return rec, true
}

// cut shortens s to n bytes without splitting a rune.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// lineWriter logs the output that a plugin writes after the handshake and that go-plugin transfers
// (SyncStdout, SyncStderr).
type lineWriter struct {
	pump   *logPump
	stream string
}

func (w lineWriter) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) > 0 && w.pump.allow() {
			w.pump.emit(time.Time{}, slog.LevelWarn, cut(string(line), maxLogLine), slog.String("stream", w.stream))
		}
	}
	return len(b), nil
}
