package executor

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"
)

// ids makes version 7 UUIDs (RFC 9562) from the instant of the decision, not from another clock: ids that sort by time
// save index pages and write-ahead log, and a replay with a seeded source makes the same ids.
type ids struct {
	mu     sync.Mutex
	random io.Reader
}

func newIDs(random io.Reader) *ids {
	// A build needs ten random bytes; reading them one by one costs a system call each.
	return &ids{random: bufio.NewReaderSize(random, 4096)}
}

func (i *ids) next(now time.Time) (uuid.UUID, error) {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixMilli())<<16)
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, err := io.ReadFull(i.random, id[6:]); err != nil {
		return uuid.Nil, fmt.Errorf("make an id: %w", err)
	}
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id, nil
}
