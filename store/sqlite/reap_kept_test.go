package sqlite_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// A process whose record the host keeps from being changed has not come back. It is declared lost when the host lets it go, and its jobs are
// given back but for one that the host keeps.
func TestReapBesideWhatTheHostKeeps(t *testing.T) {
	for how, refusal := range refusals {
		t.Run(how, func(t *testing.T) {
			k := &keptJobs{pruned: newPruned(t), now: killEpoch}
			k.run()
			kept := k.jobs[0].ID
			reap := func() (queue.Reaped, error) {
				return k.s.Reap(t.Context(), queue.ReapRequest{Now: k.now, Process: k.process, Heartbeats: 1, Limit: 10})
			}
			k.exec(`CREATE TRIGGER host BEFORE UPDATE ON dormouse_processes BEGIN ` + refusal + `; END`)
			if reaped, err := reap(); err == nil || errors.Is(err, lifecycle.ErrUnavailable) {
				t.Errorf("beside a trigger: %+v, %v", reaped, err)
			}
			k.exec(`DROP TRIGGER host`)
			k.exec(`CREATE TRIGGER host BEFORE UPDATE ON dormouse_jobs WHEN old.id = x'` + hex.EncodeToString(kept[:]) + `' BEGIN ` + refusal + `; END`)
			reaped, err := reap()
			must(t, err)
			if !reaped.Lost || len(reaped.Jobs) != 3 {
				t.Errorf("declared lost: %+v", reaped)
			}
			var ends []queue.End
			for i := range reaped.Jobs {
				ends = append(ends, queue.End{Handout: queue.Handout{Lease: reaped.Jobs[i].Lease()}, Process: k.process, Outcome: queue.OutcomeRequeued})
			}
			answers, err := k.s.End(t.Context(), k.now, ends)
			must(t, err)
			var done []uuid.UUID
			for i, a := range answers {
				if a.Err == nil {
					done = append(done, reaped.Jobs[i].ID)
				} else if reaped.Jobs[i].ID != kept {
					t.Errorf("job %s: %v", reaped.Jobs[i].ID, a.Err)
				}
			}
			if len(done) != 2 || slices.Contains(done, kept) {
				t.Errorf("given back: %v", done)
			}
		})
	}
}

// A process that is not registered, and whose record the host keeps from being made, has not come back either.
func TestReapOfAnUnregisteredProcessThatTheHostKeeps(t *testing.T) {
	for how, refusal := range refusals {
		t.Run(how, func(t *testing.T) {
			k := &keptJobs{pruned: newPruned(t), now: killEpoch}
			k.run()
			k.exec(`DELETE FROM dormouse_processes`)
			k.exec(`CREATE TRIGGER host BEFORE INSERT ON dormouse_processes BEGIN ` + refusal + `; END`)
			r := queue.ReapRequest{Now: k.now, Process: k.process, Limit: 10}
			if reaped, err := k.s.Reap(t.Context(), r); err == nil || errors.Is(err, lifecycle.ErrUnavailable) {
				t.Errorf("beside a trigger: %+v, %v", reaped, err)
			}
			k.exec(`DROP TRIGGER host`)
			reaped, err := k.s.Reap(t.Context(), r)
			must(t, err)
			if !reaped.Lost || len(reaped.Jobs) != 3 {
				t.Errorf("afterwards %+v", reaped)
			}
			r.Process = uuid.New() // nobody
			if reaped, err := k.s.Reap(t.Context(), r); err != nil || reaped.Lost {
				t.Errorf("one that is nobody: %+v, %v", reaped, err)
			}
		})
	}
}
