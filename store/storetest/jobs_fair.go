package storetest

import (
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var jobFairTests = []jobTest{
	{"TakeTurns", fairTurns},
	{"OneOwnsNearlyAll", fairFlood},
	{"Weight", fairWeight},
	{"LateComer", fairLateComer},
	{"RequeuedGoesFirst", fairRequeued},
	{"ReleasedKeepsItsPlace", fairReleased},
	{"OldestIsServed", fairOldest},
}

func fairTurns(k *jobKit) {
	a, b, c := uuid.New(), uuid.New(), uuid.New()
	var postings []queue.Posting
	for _, tenant := range []uuid.UUID{a, b, c} {
		postings = append(postings, k.postings(4, ofTenant(tenant))...)
	}
	jobs := k.enqueue(postings...)
	for round := range 4 {
		got := tenants(k.claim(3, jobs...))
		k.must(len(got) == 3, "tenants take turns whoever posted first", "round %d went to %d of 3 tenants", round, len(got))
	}
}

func fairFlood(k *jobKit) {
	flood := k.enqueue(k.postings(500, ofTenant(uuid.New()))...)
	few := k.enqueue(k.postings(20)...)
	got := tenants(k.claim(30, append(flood, few...)...))
	k.must(len(got) == 21, "one tenant's flood does not keep the others out of a batch", "%d of 21 tenants in the batch", len(got))
}

func fairWeight(k *jobKit) {
	light, heavy := uuid.New(), uuid.New()
	postings := k.postings(40, ofTenant(light))
	for range 40 {
		postings = append(postings, k.posting(func(p *queue.Posting) { p.Tenant, p.Weight = heavy, 3 }))
	}
	got := tenants(k.claim(40, k.enqueue(postings...)...))
	k.must(got[heavy] >= 29 && got[heavy] <= 31, "a tenant of weight 3 gets three turns for one", "%d of 40, want about 30", got[heavy])
}

func fairLateComer(k *jobKit) {
	old, fresh := uuid.New(), uuid.New()
	jobs := k.enqueue(k.postings(20, ofTenant(old))...)
	k.claim(10, jobs...)
	late := k.enqueue(k.postings(10, ofTenant(fresh))...)
	got := tenants(k.claim(10, append(jobs, late...)...))
	k.must(got[fresh] >= 4 && got[fresh] <= 6, "a tenant who comes late shares from now on; it neither waits nor makes up for the past", "%d of 10, want about 5", got[fresh])
}

func fairOldest(k *jobKit) {
	k.end(queue.End{Handout: k.handout(k.running()), Outcome: queue.OutcomeSucceeded})
	withID := func(first byte, n int) func(*queue.Posting) {
		return func(p *queue.Posting) { p.ID[0], p.ID[1], p.ID[2] = first, byte(n>>8), byte(n) }
	}
	old := k.enqueue(k.posting(withID(0xff, 0)))[0]
	for n := range 100 {
		k.enqueue(k.posting(withID(0, n)))
		if jobs := k.claim(1, old); jobs[0].ID == old.ID {
			return
		}
	}
	k.must(false, "the job that has waited longest is served, whatever the ids of those who come", "not in 100 claims")
}

func fairRequeued(k *jobKit) {
	jobs := k.enqueue(k.postings(10, ofTenant(uuid.New()))...)
	first := k.claim(4, jobs...)[1]
	k.end(queue.End{Handout: k.handout(first), Outcome: queue.OutcomeRequeued})
	next := k.claim(1, jobs...)
	k.must(sameJobs(next, []queue.Job{first}), "a requeued job goes in front of what waits", "another job went first")
}

func fairReleased(k *jobKit) {
	jobs := k.enqueue(k.postings(10, ofTenant(uuid.New()))...)
	claimed := k.claim(4, jobs...)
	k.end(queue.End{Handout: k.handout(claimed[3]), Outcome: queue.OutcomeReleased})
	next := k.claim(2, jobs...)
	k.must(sameJobs(next, []queue.Job{claimed[3], jobs[4]}), "a released job goes in front of what waits", "another job went first")
}
