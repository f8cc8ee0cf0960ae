package postgres_test

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// A job that is posted by itself, which has a statement of its own, becomes what it would be beside another organization's: it has the
// same number behind its tenant's last one and the number claimed last, and gives way to the same jobs that are there.
func TestOneJobIsPostedAsManyAre(t *testing.T) {
	alone, _ := open(t)
	beside, _ := open(t)
	stores := []*postgres.Store{alone, beside}
	rng := rand.New(rand.NewPCG(3, 4))
	org, process := uuid.New(), uuid.New()
	tenants, uniques := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}, []string{"", "", "a", "b"}
	for _, s := range stores {
		_, err := s.Heartbeat(t.Context(), queue.Heartbeat{Process: process, Now: epoch})
		must(t, err)
	}
	var started, duplicates int
	for i := range 200 {
		now := epoch.Add(time.Duration(i) * time.Second)
		p := queue.Posting{
			ID: uuid.New(), Organization: org, Tenant: tenants[rng.IntN(3)], Type: "build", Priority: int16(rng.IntN(2)), Weight: 1 + rng.IntN(3),
			Unique: uniques[rng.IntN(4)], Trace: uniques[rng.IntN(4)], Payload: make([]byte, rng.IntN(3)), RunLimit: time.Duration(rng.IntN(2)) * time.Hour,
			NotBefore: epoch.Add(time.Duration(rng.IntN(300)) * time.Second),
		}
		if rng.IntN(3) > 0 {
			p.NotBefore = time.Time{}
		}
		jobs, err := alone.Enqueue(soon(t), now, []queue.Posting{p})
		must(t, err)
		both, err := beside.Enqueue(soon(t), now, []queue.Posting{p, {Organization: uuid.New(), Type: "build"}})
		must(t, err)
		if !reflect.DeepEqual(jobs[0], both[0]) {
			t.Fatalf("posting %d by itself: %+v\nbeside another: %+v", i, jobs[0], both[0])
		}
		if jobs[0].Duplicate {
			duplicates++
		}
		again, err := alone.Enqueue(soon(t), now, []queue.Posting{p})
		must(t, err)
		if !again[0].Duplicate || again[0].Order != jobs[0].Order {
			t.Fatalf("posting %d once more: %+v", i, again[0])
		}
		if rng.IntN(3) > 0 {
			continue
		}
		c := queue.Claim{
			Token: uuid.New(), Process: process, Now: now, Workers: []uuid.UUID{uuid.New()}, Secrets: []queue.SecretHash{queue.NewSecret().Hash()},
			Probes: []queue.Probe{{Lane: queue.Lane{Organization: org, Type: "build", Priority: int16(rng.IntN(2))}}},
		}
		var got [2][]queue.Job
		for i, s := range stores {
			claimed, err := s.Claim(soon(t), c)
			must(t, err)
			got[i] = claimed.Jobs
		}
		if !reflect.DeepEqual(got[0], got[1]) {
			t.Fatalf("claimed %+v and %+v", got[0], got[1])
		}
		started += len(got[0])
	}
	if started == 0 || duplicates == 0 {
		t.Errorf("%d were claimed, %d were there before", started, duplicates)
	}
}
