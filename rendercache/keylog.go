package rendercache

import (
	"bufio"
	"fmt"
	"io"
	"sync"

	"github.com/dormouse-go/dormouse/rendercache/internal/keylog"
)

// KeyLog records the requests of a cache, for package [github.com/dormouse-go/dormouse/rendercache/replay]. It holds seeded
// hashes of keys, never keys. It costs a lock and 24 bytes a request: switch it on for the hours that are worth replaying. A
// nil *KeyLog records nothing. Its methods may be called from any goroutine.
type KeyLog struct {
	mu  sync.Mutex
	w   *bufio.Writer
	err error
}

// NewKeyLog returns a log that writes to w, buffered. Call Flush at the end.
func NewKeyLog(w io.Writer) *KeyLog {
	l := &KeyLog{w: bufio.NewWriterSize(w, 64<<10)}
	_, l.err = l.w.WriteString(keylog.Header)
	return l
}

// Flush writes what is buffered and returns the first error of all writing so far. After such an error the cache works
// on and the log records no more.
func (l *KeyLog) Flush() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = l.w.Flush()
	}
	if l.err != nil {
		return fmt.Errorf("rendercache: write key log: %w", l.err)
	}
	return nil
}

func (l *KeyLog) request(id uint64, at int64) {
	if l != nil {
		l.write(id, at, 0)
	}
}

func (l *KeyLog) stored(id uint64, at, weight int64) {
	if l != nil {
		l.write(id, at, weight)
	}
}

func (l *KeyLog) write(id uint64, at, weight int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	_, l.err = l.w.Write(keylog.Append(l.w.AvailableBuffer(), id, at, weight))
}
