package replay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dormouse-go/dormouse/rendercache/internal/keylog"
)

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

// ReadKeyLog reads the log that a rendercache.KeyLog wrote, to its end. A last record that was cut off (the process ended
// before Flush) is left out without an error.
func ReadKeyLog(r io.Reader) ([]Record, error) {
	br := bufio.NewReader(r)
	header := make([]byte, len(keylog.Header))
	if _, err := io.ReadFull(br, header); err != nil {
		return nil, fmt.Errorf("replay: read key log header: %w", err)
	}
	if string(header) != keylog.Header {
		return nil, fmt.Errorf("replay: key log begins with %q: want %q", header, keylog.Header)
	}
	var records []Record
	var buf [keylog.Size]byte
	for {
		switch _, err := io.ReadFull(br, buf[:]); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return records, nil
		case err != nil:
			return records, fmt.Errorf("replay: read key log record %d: %w", len(records), err)
		}
		rec, err := decodeRecord(buf)
		if err != nil {
			return records, fmt.Errorf("replay: key log record %d: %w", len(records), err)
		}
		records = append(records, rec)
	}
}

func decodeRecord(buf [keylog.Size]byte) (Record, error) {
	id, at, weight := keylog.Decode(buf)
	r := Record{ID: id, At: time.Duration(at), Weight: weight}
	if r.At < 0 {
		return r, fmt.Errorf("time is %d: it must not be negative", r.At)
	}
	if r.Weight < 0 {
		return r, fmt.Errorf("weight is %d: it must not be negative", r.Weight)
	}
	return r, nil
}
