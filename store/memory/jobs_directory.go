package memory

import (
	"bytes"
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Processes implements [queue.Directory].
func (s *Jobs) Processes(ctx context.Context, q queue.ProcessQuery) ([]queue.Process, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []uuid.UUID
	for id, p := range s.processes {
		if p.registered() && bytes.Compare(id[:], q.After[:]) > 0 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	page := make([]queue.Process, min(len(ids), q.Limit))
	for i := range page {
		page[i] = s.processes[ids[i]].export()
	}
	return page, ctx.Err()
}
