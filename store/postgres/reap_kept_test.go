package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// A process whose record the host keeps from being changed has not come back. It is declared lost when the host lets it go, and its jobs are
// given back but for one that the host keeps.
func TestReapBesideWhatTheHostKeeps(t *testing.T) {
	pool := pgtest.Pool(t)
	for how, refusal := range rowRefusals {
		t.Run(how, func(t *testing.T) {
			k := newRefusedJobs(t, pool)
			k.run()
			kept := k.jobs[0].ID
			reap := func() (queue.Reaped, error) {
				return k.s.Reap(soon(t), queue.ReapRequest{Now: k.now, Process: k.process, Heartbeats: 1, Limit: 10})
			}
			if strings.HasPrefix(how, "a trigger") {
				exec(t, pool, fmt.Sprintf(strings.ReplaceAll(refusal, "dormouse.jobs", "dormouse.processes"), "UPDATE", k.process))
				if reaped, err := reap(); err == nil || errors.Is(err, lifecycle.ErrUnavailable) {
					t.Errorf("beside a trigger: %+v, %v", reaped, err)
				}
				exec(t, pool, letGoSQL)
			}
			exec(t, pool, fmt.Sprintf(refusal, "UPDATE", kept))
			reaped, err := reap()
			must(t, err)
			if !reaped.Lost || len(reaped.Jobs) != len(k.jobs) {
				t.Errorf("declared lost: %+v", reaped)
			}
			var ends []queue.End
			for i := range reaped.Jobs {
				ends = append(ends, queue.End{Handout: queue.Handout{Lease: reaped.Jobs[i].Lease()}, Process: k.process, Outcome: queue.OutcomeRequeued})
			}
			answers, err := k.s.End(soon(t), k.now, ends)
			must(t, err)
			var done []uuid.UUID
			for i, a := range answers {
				if a.Err == nil {
					done = append(done, reaped.Jobs[i].ID)
				} else if reaped.Jobs[i].ID != kept {
					t.Errorf("job %s: %v", reaped.Jobs[i].ID, a.Err)
				}
			}
			if len(done) != len(k.jobs)-1 || slices.Contains(done, kept) {
				t.Errorf("given back: %v", done)
			}
			exec(t, pool, letGoSQL)
		})
	}
}

// A process that is not registered, and whose record the host keeps from being made, has not come back either.
func TestReapOfAnUnregisteredProcessThatTheHostKeeps(t *testing.T) {
	s, pool := open(t)
	for how, refusal := range refusals {
		exec(t, pool, emptySQL)
		process, jobs := runningJobs(t, s, 2)
		exec(t, pool, `DELETE FROM dormouse.processes`)
		exec(t, pool, hostTrigger("INSERT", "processes", "true", refusal))
		r := queue.ReapRequest{Now: epoch, Process: process, Limit: 10}
		if reaped, err := s.Reap(soon(t), r); err == nil || errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), "ke") {
			t.Errorf("%s: %+v, %v", how, reaped, err)
		}
		exec(t, pool, letGoSQL)
		reaped, err := s.Reap(soon(t), r)
		must(t, err)
		if !reaped.Lost || len(reaped.Jobs) != len(jobs) {
			t.Errorf("%s: afterwards %+v", how, reaped)
		}
		r.Process = uuid.New() // nobody
		if reaped, err := s.Reap(soon(t), r); err != nil || reaped.Lost {
			t.Errorf("one that is nobody: %+v, %v", reaped, err)
		}
	}
}
