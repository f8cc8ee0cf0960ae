package queue_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// What Room counts is what counting all running jobs anew gives, whatever began and ended in between.
func TestRoomIsACount(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	tenants := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	var room queue.Room
	var running []queue.Job
	for range 5000 {
		limits := queue.Limits{
			PerTenant: random.IntN(6), Tenants: map[uuid.UUID]int{tenants[0]: random.IntN(4)},
			Types: map[string]int{"a": random.IntN(6)}, Classes: []queue.Class{{Priority: 0, Max: 1 + random.IntN(9)}, {Priority: 2, Max: 1 + random.IntN(12)}},
		}
		j := queue.Job{Tenant: tenants[random.IntN(3)], Type: []string{"a", "b"}[random.IntN(2)], Priority: int16(random.IntN(5) - 1)}
		stopped := room.LaneFull(limits, j.Lane()) || room.TenantFull(limits, j.Tenant)
		if want := exceeded(limits, append(running, j), j); stopped != want {
			t.Fatalf("job %+v beside %d others under %+v: stopped %v, want %v", j, len(running), limits, stopped, want)
		}
		if !stopped {
			room.Add(j.Lane(), j.Tenant, 1)
			running = append(running, j)
		} else if len(running) > 0 {
			i := random.IntN(len(running))
			room.Add(running[i].Lane(), running[i].Tenant, -1)
			running = append(running[:i], running[i+1:]...)
		}
	}
}

// exceeded reports whether all jobs together are more than a limit that concerns j admits.
func exceeded(l queue.Limits, all []queue.Job, j queue.Job) bool {
	count := func(which func(queue.Job) bool) (n int) {
		for _, other := range all {
			if which(other) {
				n++
			}
		}
		return n
	}
	over := func(most, n int) bool { return most > 0 && n > most }
	for _, c := range l.Classes {
		if j.Priority <= c.Priority && over(c.Max, count(func(o queue.Job) bool { return o.Priority <= c.Priority })) {
			return true
		}
	}
	return over(l.Tenant(j.Tenant), count(func(o queue.Job) bool { return o.Tenant == j.Tenant })) ||
		over(l.Types[j.Type], count(func(o queue.Job) bool { return o.Type == j.Type }))
}
