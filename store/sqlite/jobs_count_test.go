package sqlite_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// A count that is bounded looks at the latest jobs, and says that there are more.
func TestCountOfTheLatest(t *testing.T) {
	s, org, old, young := newStore(t), uuid.New(), uuid.New(), uuid.New()
	for i, tenant := range []uuid.UUID{old, old, young} {
		_, err := s.Enqueue(t.Context(), killEpoch.Add(time.Duration(i)*time.Second), []queue.Posting{{Organization: org, Tenant: tenant, Type: "build"}})
		must(t, err)
	}
	if counts, err := s.CountJobs(t.Context(), queue.JobQuery{Organization: org}, 0); err != nil || counts.States[queue.Pending] != 1 || !counts.Partial {
		t.Errorf("%+v, error %v, want one of more", counts, err)
	}
	for tenant, want := range map[uuid.UUID]int{old: 1, young: 1} {
		counts, err := s.CountJobs(t.Context(), queue.JobQuery{Organization: org, Tenant: tenant}, 2)
		must(t, err)
		if counts.States[queue.Pending] != want || !counts.Partial {
			t.Errorf("%+v, want %d of the latest two", counts, want)
		}
	}
}

// A count says that there may be more where it has looked at as many as it may.
func TestCountAroundItsBound(t *testing.T) {
	s, org := newStore(t), uuid.New()
	_, err := s.Enqueue(t.Context(), killEpoch, []queue.Posting{{Organization: org, Type: "a"}, {Organization: org, Type: "a"}, {Organization: org, Type: "a"}})
	must(t, err)
	for countTo, want := range map[int]int{-1: 1, 0: 1, 1: 1, 2: 2, 4: 3} {
		counts, err := s.CountJobs(t.Context(), queue.JobQuery{Organization: org}, countTo)
		must(t, err)
		if len(counts.States) != 1 || counts.States[queue.Pending] != want || counts.Partial != (countTo < 3) {
			t.Errorf("to %d: %+v, want %d", countTo, counts, want)
		}
	}
}
