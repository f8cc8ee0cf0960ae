package rendercache

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// keyLogHeader begins every key log; the last byte is the version of the format.
const keyLogHeader = "rendkey\x01"

// recordSize is id, time and weight, eight bytes each, big-endian.
const recordSize = 24

// Record is one line of a key log.
type Record struct {
	// ID stands for the key. It is a hash seeded by the cache: it says nothing about the key, and logs of two caches
	// cannot be joined.
	ID uint64
	// At is the time since the cache's start.
	At time.Duration
	// Weight is 0 for a request and the value's weight when one was stored.
	Weight int64
}

// KeyLog records the requests of a cache, for [Replay]. It costs a lock and 24 bytes a request: switch it on for the
// hours that are worth replaying. A nil *KeyLog records nothing. Its methods may be called from any goroutine.
type KeyLog struct {
	mu  sync.Mutex
	w   *bufio.Writer
	err error
}

// NewKeyLog returns a log that writes to w, buffered. Call Flush at the end.
func NewKeyLog(w io.Writer) *KeyLog {
	l := &KeyLog{w: bufio.NewWriterSize(w, 64<<10)}
	_, l.err = l.w.WriteString(keyLogHeader)
	return l
}

// Flush writes what is buffered and returns the first error of all writing so far. The cache is not disturbed by such
// an error; it only stops recording.
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
	buf := l.w.AvailableBuffer()
	buf = binary.BigEndian.AppendUint64(buf, id)
	buf = binary.BigEndian.AppendUint64(buf, uint64(at))
	buf = binary.BigEndian.AppendUint64(buf, uint64(weight))
	_, l.err = l.w.Write(buf)
}

// ReadKeyLog reads a key log to its end. A last record that was cut off (the process ended before Flush) is left
// out without an error.
func ReadKeyLog(r io.Reader) ([]Record, error) {
	br := bufio.NewReader(r)
	header := make([]byte, len(keyLogHeader))
	if _, err := io.ReadFull(br, header); err != nil {
		return nil, fmt.Errorf("rendercache: read key log header: %w", err)
	}
	if string(header) != keyLogHeader {
		return nil, fmt.Errorf("rendercache: key log begins with %q: want %q", header, keyLogHeader)
	}
	var records []Record
	var buf [recordSize]byte
	for {
		switch _, err := io.ReadFull(br, buf[:]); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return records, nil
		case err != nil:
			return records, fmt.Errorf("rendercache: read key log record %d: %w", len(records), err)
		}
		rec, err := decodeRecord(buf)
		if err != nil {
			return records, fmt.Errorf("rendercache: key log record %d: %w", len(records), err)
		}
		records = append(records, rec)
	}
}

func decodeRecord(buf [recordSize]byte) (Record, error) {
	r := Record{
		ID:     binary.BigEndian.Uint64(buf[0:]),
		At:     time.Duration(binary.BigEndian.Uint64(buf[8:])),
		Weight: int64(binary.BigEndian.Uint64(buf[16:])),
	}
	if r.At < 0 {
		return r, fmt.Errorf("time is %d: it must not be negative", r.At)
	}
	if r.Weight < 0 {
		return r, fmt.Errorf("weight is %d: it must not be negative", r.Weight)
	}
	return r, nil
}
