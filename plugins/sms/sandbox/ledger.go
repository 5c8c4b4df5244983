package sandbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// ledger is the file of entries, one JSON object in each line. One goroutine writes the queued
// entries and flushes the file once for all who wait. A nil ledger keeps nothing.
type ledger struct {
	file *os.File
	done chan struct{}

	mu     sync.Mutex
	wake   *sync.Cond
	buf    bytes.Buffer
	batch  *flush // the flush that buf will be part of
	last   *flush // the flush before that
	err    error  // stays set: after a failed flush nothing can be trusted to be on disk
	closed bool
}

// flush is one write with its fsync, for all entries in it.
type flush struct {
	done chan struct{}
	err  error
}

const ledgerName = "ledger.jsonl"

// openLedger replays the folder's file and opens it for appending. A last line that a crash has
// left incomplete is cut off.
func openLedger(dir string, apply func(*entry)) (*ledger, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, ledgerName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	end, err := replay(f, apply)
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	l := &ledger{file: f, done: make(chan struct{}), batch: newFlush()}
	l.wake = sync.NewCond(&l.mu)
	go l.write()
	return l, nil
}

func newFlush() *flush { return &flush{done: make(chan struct{})} }

// replay applies all complete lines and returns where the last one ends.
func replay(r io.Reader, apply func(*entry)) (end int64, err error) {
	br := bufio.NewReaderSize(r, 1<<20)
	for n := 1; ; n++ {
		line, err := br.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return end, nil // nobody was told that an incomplete line was stored
		}
		if err != nil {
			return end, err
		}
		e := new(entry)
		if err := json.Unmarshal(line, e); err != nil {
			return end, fmt.Errorf("%s line %d: not an entry: %w", ledgerName, n, err)
		}
		apply(e)
		end += int64(len(line))
	}
}

// append queues an entry; the returned function waits until it is on disk.
func (l *ledger) append(e *entry) func() error {
	if l == nil {
		return func() error { return nil }
	}
	line, err := json.Marshal(e)
	if err != nil {
		return func() error { return err } // cannot happen: an entry is plain data
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return func() error { return ErrClosed }
	}
	l.buf.Write(line)
	l.buf.WriteByte('\n')
	l.wake.Signal()
	mine := l.batch
	return func() error {
		<-mine.done
		return mine.err
	}
}

func (l *ledger) write() {
	defer close(l.done)
	var out []byte
	for {
		l.mu.Lock()
		for l.buf.Len() == 0 && !l.closed {
			l.wake.Wait()
		}
		if l.buf.Len() == 0 {
			l.mu.Unlock()
			return
		}
		out = append(out[:0], l.buf.Bytes()...)
		l.buf.Reset()
		mine, err := l.batch, l.err
		l.batch, l.last = newFlush(), mine
		l.mu.Unlock()

		if err == nil {
			if _, err = l.file.Write(out); err == nil {
				err = l.file.Sync()
			}
		}
		mine.err = err
		close(mine.done)
		if err != nil {
			l.mu.Lock()
			l.err = err
			l.mu.Unlock()
		}
	}
}

// close flushes the queued entries and closes the file.
func (l *ledger) close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	l.closed = true
	l.wake.Signal()
	l.mu.Unlock()
	<-l.done
	return errors.Join(l.err, l.file.Close())
}

// flush waits until all that was recorded is on disk.
func (s *Sandbox) flush() error { return s.ledger.sync() }

func (l *ledger) sync() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	if l.buf.Len() > 0 {
		mine := l.batch
		l.mu.Unlock()
		<-mine.done
		return mine.err
	}
	last, err := l.last, l.err
	l.mu.Unlock()
	if last == nil {
		return err
	}
	<-last.done // its flush may be under way
	return last.err
}
