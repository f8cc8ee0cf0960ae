package leases

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Nothing is kept of a process whose leases have left: a fleet has many in its life.
func TestProcessesAreForgotten(t *testing.T) {
	t.Parallel()
	b, noon := New(nil), time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	here, there := uuid.UUID{1}, uuid.UUID{2}
	job := queue.Job{ID: uuid.UUID{3}, Fence: 1, State: queue.Running, Process: here}
	b.Hold(job, 0, noon)
	job.Process = there
	b.Name(job)
	if len(b.own) != 1 || b.Len(there) != 1 {
		t.Errorf("after a lease moved: %v", b.own)
	}
	call, err := b.End(job.Lease(), noon)
	if err != nil {
		t.Fatal(err)
	}
	b.Over(call)
	if len(b.own) != 0 {
		t.Errorf("after the last lease: %v", b.own)
	}
}
