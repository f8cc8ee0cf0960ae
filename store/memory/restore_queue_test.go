package memory_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/memory"
)

// A restored queue goes on: what waits can be claimed, what runs is its process's, and what is paused is not handed out.
func TestRestoreOfQueue(t *testing.T) {
	s, ctx, process := memory.New(), t.Context(), uuid.New()
	_, err := s.Heartbeat(ctx, queue.Heartbeat{Process: process, Now: monday})
	must(t, err)
	postings := []queue.Posting{{Type: "runs"}, {Type: "waits"}, {Type: "paused"}, {Type: "later", NotBefore: monday.Add(time.Hour)}}
	jobs, err := s.Enqueue(ctx, monday, postings)
	must(t, err)
	claim := func(s *memory.Store, at time.Time) []queue.Job {
		t.Helper()
		c := queue.Claim{Token: uuid.New(), Process: process, Now: at, Workers: []uuid.UUID{uuid.New(), uuid.New(), uuid.New(), uuid.New()}}
		listing, err := s.Ready(ctx, at, queue.ReadyQuery{CountTo: 9})
		must(t, err)
		for _, l := range listing.Lanes {
			c.Probes = append(c.Probes, queue.Probe{Lane: l.Lane})
		}
		claimed, err := s.Claim(ctx, c)
		must(t, err)
		return claimed.Jobs
	}
	for _, kind := range []string{"waits", "paused"} {
		must(t, s.PauseJobs(ctx, queue.Pause{Scope: queue.Scope{Type: kind}, At: monday}))
	}
	if first := claim(s, monday); len(first) != 1 || first[0].ID != jobs[0].ID {
		t.Fatalf("claimed %+v", first)
	}
	_, err = s.ResumeJobs(ctx, queue.Scope{Type: "waits"})
	must(t, err)

	r := restored(t, s)
	held, err := r.Jobs(ctx, queue.Filter{Process: process})
	must(t, err)
	if len(held) != 1 || held[0].ID != jobs[0].ID {
		t.Errorf("the process holds %+v, want what it claimed", held)
	}
	if got := claim(r, monday); len(got) != 1 || got[0].ID != jobs[1].ID {
		t.Errorf("claimed %+v, want what waits and is not paused", got)
	}
	if got := claim(r, monday.Add(time.Hour)); len(got) != 1 || got[0].ID != jobs[3].ID {
		t.Errorf("claimed %+v, want what was to come later", got)
	}
	if pauses, err := r.Pauses(ctx, monday); err != nil || len(pauses) != 1 || pauses[0].Type != "paused" {
		t.Errorf("paused is %+v, error %v", pauses, err)
	}
}

// A dump that cannot be written says so.
func TestDumpToWhatIsFull(t *testing.T) {
	if err := memory.New().Dump(full{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v", err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// A process of which a dump has only the jobs has no record until it reports.
func TestRestoreOfJobsOfAnUnknownProcess(t *testing.T) {
	s, ctx, process := memory.New(), t.Context(), uuid.New()
	_, err := s.Heartbeat(ctx, queue.Heartbeat{Process: process, Now: monday})
	must(t, err)
	jobs, err := s.Enqueue(ctx, monday, []queue.Posting{{Type: "runs"}})
	must(t, err)
	_, err = s.Claim(ctx, queue.Claim{
		Token: uuid.New(), Process: process, Now: monday, Workers: []uuid.UUID{uuid.New()}, Probes: []queue.Probe{{Lane: jobs[0].Lane()}},
	})
	must(t, err)
	var rest []string
	for line := range strings.Lines(dumpOf(t, s)) {
		if !strings.Contains(line, `{"process":`) && !strings.Contains(line, `{"end":`) {
			rest = append(rest, line)
		}
	}
	rest = append(rest, fmt.Sprintf(`{"end":%d}`, len(rest))+"\n")
	r, err := memory.Restore(strings.NewReader(strings.Join(rest, "")), nil)
	must(t, err)
	known := func() int {
		t.Helper()
		found, err := r.Processes(ctx, queue.ProcessQuery{Limit: 10})
		must(t, err)
		return len(found)
	}
	if n := known(); n != 0 {
		t.Errorf("%d processes are known", n)
	}
	_, err = r.Heartbeat(ctx, queue.Heartbeat{Process: process, Now: monday})
	must(t, err)
	held, err := r.Jobs(ctx, queue.Filter{Process: process})
	must(t, err)
	if n := known(); n != 1 || len(held) != 1 {
		t.Errorf("%d processes are known when it has reported, and it holds %d jobs", n, len(held))
	}
}
