package storetest

import (
	"math/rand/v2"
	"slices"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var jobLimitTests = []jobTest{
	{"PerTenant", limitPerTenant},
	{"NamedTenant", limitNamedTenant},
	{"Type", limitType},
	{"Class", limitClass},
	{"RunningCounts", limitRunningCounts},
	{"EndFrees", limitEndFrees},
	{"OtherOrganization", limitOtherOrganization},
	{"None", limitNone},
	{"Together", limitTogether},
	{"Random", limitRandom},
}

// claimWithin claims n jobs under limits.
func (k *jobKit) claimWithin(limits queue.Limits, n int, of ...queue.Job) queue.Claimed {
	k.t.Helper()
	ask := k.ask(n, of...)
	ask.Limits = limits
	claimed, err := k.store.Claim(k.ctx, ask)
	k.noError(err, "Claim")
	return claimed
}

func tenants(jobs []queue.Job) map[uuid.UUID]int {
	counts := make(map[uuid.UUID]int)
	for _, j := range jobs {
		counts[j.Tenant]++
	}
	return counts
}

func limitPerTenant(k *jobKit) {
	a, b := uuid.New(), uuid.New()
	jobs := k.enqueue(append(k.postings(6, ofTenant(a)), k.postings(3, ofTenant(b))...)...)
	claimed := k.claimWithin(queue.Limits{PerTenant: 2}, 9, jobs...)
	got := tenants(claimed.Jobs)
	k.must(got[a] == 2 && got[b] == 2, "no tenant runs more than PerTenant jobs, and a full one does not keep others waiting", "%d and %d, want 2 and 2", got[a], got[b])
	k.must(claimed.Limited, "Limited says that a ready job was passed over because of a limit", "it does not")
}

func limitNamedTenant(k *jobKit) {
	a, b, c := uuid.New(), uuid.New(), uuid.New()
	var postings []queue.Posting
	for _, tenant := range []uuid.UUID{a, b, c} {
		postings = append(postings, k.postings(4, ofTenant(tenant))...)
	}
	limits := queue.Limits{PerTenant: 1, Tenants: map[uuid.UUID]int{a: 3, b: 0}}
	claimed := k.claimWithin(limits, 12, k.enqueue(postings...)...)
	got := tenants(claimed.Jobs)
	k.must(got[a] == 3, "a named tenant has a limit of its own", "%d, want 3", got[a])
	k.must(got[b] == 4, "a named tenant with 0 has no limit", "%d, want 4", got[b])
	k.must(got[c] == 1, "other tenants have PerTenant", "%d, want 1", got[c])
}

func limitType(k *jobKit) {
	jobs := k.enqueue(append(k.postings(4), k.postings(4, ofType("scan"))...)...)
	claimed := k.claimWithin(queue.Limits{Types: map[string]int{"scan": 1}}, 8, jobs...)
	got := make(map[string]int)
	for _, j := range claimed.Jobs {
		got[j.Type]++
	}
	k.must(got["scan"] == 1 && got["build"] == 4, "a type's limit bounds it and nothing else", "%v", got)
	k.must(claimed.Limited, "Limited says that a type's limit stopped a job", "it does not")
}

func limitClass(k *jobKit) {
	var postings []queue.Posting
	for _, priority := range []int16{-1, 0, 1} {
		postings = append(postings, k.postings(4, withPriority(priority))...)
	}
	jobs := k.enqueue(postings...)
	limits := queue.Limits{Classes: []queue.Class{{Priority: 0, Max: 3}, {Priority: -1, Max: 1}}}
	claimed := k.claimWithin(limits, 12, jobs...)
	got := make(map[int16]int)
	for _, j := range claimed.Jobs {
		got[j.Priority]++
	}
	k.must(got[1] == 4, "a class does not bound jobs above its priority", "%v", got)
	k.must(got[0]+got[-1] == 3, "a class bounds all jobs at or below its priority together", "%v", got)
	k.must(got[0] == 3, "within a class, priority decides", "%v", got)
	k.must(claimed.Limited, "Limited says that a class stopped a job", "it does not")
}

func limitRunningCounts(k *jobKit) {
	tenant := uuid.New()
	other := uuid.New()
	k.heartbeat(other)
	jobs := k.enqueue(k.postings(5, ofTenant(tenant))...)
	limits := queue.Limits{PerTenant: 3}
	k.must(len(k.claimWithin(limits, 2, jobs...).Jobs) == 2, "a limit admits what is below it", "it does not")
	ask := k.ask(5, jobs...)
	ask.Process, ask.Limits = other, limits
	claimed, err := k.store.Claim(k.ctx, ask)
	k.noError(err, "Claim")
	k.must(len(claimed.Jobs) == 1, "running jobs of all processes count against a limit", "%d claimed, want 1", len(claimed.Jobs))
}

func limitEndFrees(k *jobKit) {
	tenant := uuid.New()
	jobs := k.enqueue(k.postings(9, ofTenant(tenant))...)
	limits := queue.Limits{PerTenant: 1}
	for _, outcome := range []queue.Outcome{
		queue.OutcomeSucceeded, queue.OutcomeFailed, queue.OutcomeCanceled, queue.OutcomeRequeued, queue.OutcomeReleased,
	} {
		first := k.claimWithin(limits, 2, jobs...)
		k.must(len(first.Jobs) == 1, "a limit is free again after an end", "%d claimed before %s", len(first.Jobs), outcome)
		k.must(len(k.claimWithin(limits, 2, jobs...).Jobs) == 0, "a full limit admits nothing", "it did before %s", outcome)
		k.end(queue.End{Handout: k.handout(first.Jobs[0]), Outcome: outcome})
	}
	k.must(len(k.claimWithin(limits, 9, jobs...).Jobs) == 1, "a limit is freed once for each end", "more or fewer than one claimed")
}

func limitOtherOrganization(k *jobKit) {
	tenant := uuid.New()
	mine := k.enqueue(k.posting(ofTenant(tenant)))
	other := k.enqueue(k.posting(ofTenant(tenant), func(p *queue.Posting) { p.Organization = uuid.New() }))
	limits := queue.Limits{
		PerTenant: 1, Types: map[string]int{"build": 1}, Classes: []queue.Class{{Priority: 0, Max: 1}},
	}
	k.claimWithin(limits, 1, mine...)
	k.must(len(k.claimWithin(limits, 1, other...).Jobs) == 1, "limits are of one organization", "a job of another was stopped")
}

func limitNone(k *jobKit) {
	jobs := k.enqueue(k.postings(5, ofTenant(uuid.New()))...)
	claimed := k.claimWithin(queue.Limits{}, 5, jobs...)
	k.must(len(claimed.Jobs) == 5 && !claimed.Limited, "zero limits limit nothing", "%d claimed, limited %v", len(claimed.Jobs), claimed.Limited)
}

func limitTogether(k *jobKit) {
	a, b := uuid.New(), uuid.New()
	var postings []queue.Posting
	for range 6 {
		postings = append(postings, k.posting(ofTenant(a)), k.posting(ofTenant(b), ofType("scan")), k.posting(ofTenant(b)))
	}
	limits := queue.Limits{
		PerTenant: 4, Types: map[string]int{"scan": 1}, Classes: []queue.Class{{Priority: 5, Max: 6}},
	}
	claimed := k.claimWithin(limits, 18, k.enqueue(postings...)...)
	got := tenants(claimed.Jobs)
	scans := 0
	for _, j := range claimed.Jobs {
		if j.Type == "scan" {
			scans++
		}
	}
	k.must(len(claimed.Jobs) == 6, "all limits hold together, and what they admit is claimed", "%d claimed, want 6", len(claimed.Jobs))
	k.must(got[a] <= 4 && got[b] <= 4 && scans == 1, "every limit holds", "tenants %v, %d scans", got, scans)
}

// limitRandom claims and ends at random under limits at random, and compares each claim with what [queue.Room] admits of
// all that waits, in line order.
func limitRandom(k *jobKit) {
	random := rand.New(rand.NewPCG(3, 4))
	tenants := []uuid.UUID{uuid.New(), uuid.New(), uuid.New(), uuid.New()}
	var postings []queue.Posting
	for range 120 {
		postings = append(postings, k.posting(ofTenant(tenants[random.IntN(4)]),
			ofType([]string{"build", "scan", "test"}[random.IntN(3)]), withPriority(int16(random.IntN(4)-1))))
	}
	waiting := k.enqueue(postings...)
	slices.SortFunc(waiting, lineOrder)
	var running []queue.Job
	for round := range 40 {
		limits, workers := randomLimits(random, tenants), 1+random.IntN(8)
		want, limited := admitted(limits, running, waiting, workers)
		claimed := k.claimWithin(limits, workers, waiting...)
		k.must(sameJobs(claimed.Jobs, want), "Claim takes in line order what the limits leave room for beside all that runs",
			"round %d, limits %+v: got %v, want %v", round, limits, orders(claimed.Jobs), orders(want))
		k.must(claimed.Limited == limited, "Limited says whether a ready job was passed over because of a limit",
			"round %d, limits %+v: got %v, want %v", round, limits, claimed.Limited, limited)
		waiting = slices.DeleteFunc(waiting, func(j queue.Job) bool {
			return slices.ContainsFunc(want, func(w queue.Job) bool { return w.ID == j.ID })
		})
		running = append(running, claimed.Jobs...)
		for len(running) > 0 && random.IntN(3) > 0 {
			i := random.IntN(len(running))
			k.end(queue.End{Handout: k.handout(running[i]), Outcome: queue.OutcomeSucceeded})
			running = slices.Delete(running, i, i+1)
		}
	}
}

func randomLimits(random *rand.Rand, tenants []uuid.UUID) queue.Limits {
	return queue.Limits{
		PerTenant: random.IntN(5),
		Tenants:   map[uuid.UUID]int{tenants[0]: random.IntN(4)},
		Types:     map[string]int{"build": random.IntN(6), "scan": random.IntN(4)},
		Classes:   []queue.Class{{Priority: 0, Max: 1 + random.IntN(8)}, {Priority: int16(random.IntN(4) - 1), Max: 1 + random.IntN(10)}},
	}
}

// admitted are the first n of a line for which there is room, and whether any was passed over.
func admitted(limits queue.Limits, running, line []queue.Job, n int) (jobs []queue.Job, passed bool) {
	var room queue.Room
	for _, j := range running {
		room.Add(j.Lane(), j.Tenant, 1)
	}
	for _, j := range line {
		switch {
		case len(jobs) == n:
			return jobs, passed
		case room.LaneFull(limits, j.Lane()) || room.TenantFull(limits, j.Tenant):
			passed = true
		default:
			room.Add(j.Lane(), j.Tenant, 1)
			jobs = append(jobs, j)
		}
	}
	return jobs, passed
}
