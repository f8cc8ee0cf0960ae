package storetest

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var jobClaimTests = []jobTest{
	{"WhatAClaimWrites", claimWrites},
	{"LineOrder", claimLineOrder},
	{"OnlyProbedLanes", claimOnlyProbed},
	{"Boost", claimBoost},
	{"BoostIsNotStored", claimBoostNotStored},
	{"BoostBeyondPriorities", claimBoostBeyond},
	{"Bound", claimBound},
	{"WhatIsListed", claimListed},
	{"FewerThanAsked", claimFewer},
	{"NobodyAsks", claimNobody},
	{"NeverCanceled", claimNeverCanceled},
	{"UnknownProcess", claimUnknownProcess},
	{"LostProcess", claimLostProcess},
	{"FenceAndAttemptRise", claimFence},
	{"FoundByToken", claimToken},
	{"ManyLanes", claimManyLanes},
}

func claimWrites(k *jobKit) {
	posted := k.enqueue(k.posting())[0]
	k.pass(time.Second)
	ask := k.ask(1, posted)
	claimed, err := k.store.Claim(k.ctx, ask)
	k.noError(err, "Claim")
	k.must(len(claimed.Jobs) == 1 && !claimed.Limited, "Claim takes a ready job", "%+v", claimed)
	j := claimed.Jobs[0]
	k.must(j.State == queue.Running && j.StartedAt.Equal(k.now), "a claimed job runs since the claim's time", "state %s since %s", j.State, j.StartedAt)
	k.must(j.Process == k.process && j.Token == ask.Token && j.Worker == ask.Workers[0], "a claimed job names process, token and worker", "%s %s %s", j.Process, j.Token, j.Worker)
	k.must(j.Attempt == 1 && j.Fence == posted.Fence+1, "a claim adds one attempt and raises the fence by one", "attempt %d, fence %d", j.Attempt, j.Fence)
	stored := k.get(j.ID)
	k.must(stored.State == j.State && stored.Fence == j.Fence && stored.Worker == j.Worker, "Claim returns the jobs as stored", "returned %+v\n\tstored   %+v", j, stored)
}

func claimLineOrder(k *jobKit) {
	var posted []queue.Job
	tenants := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	for i := range 30 {
		posted = append(posted, k.enqueue(k.posting(
			ofTenant(tenants[i%3]), withPriority(int16(i%4-1)), ofType([]string{"build", "scan"}[i%2]),
		))...)
	}
	slices.SortFunc(posted, lineOrder)
	ask := k.ask(20, posted...)
	claimed, err := k.store.Claim(k.ctx, ask)
	k.noError(err, "Claim")
	k.must(sameJobs(claimed.Jobs, posted[:20]), "Claim takes those first that are first by Job.Before, over all its lanes, and returns them in that order", "got  %v\n\twant %v", orders(claimed.Jobs), orders(posted[:20]))
	for i, j := range claimed.Jobs {
		k.must(j.Worker == ask.Workers[i], "Claim gives the i-th job to the i-th worker", "place %d went to another", i)
	}
	k.must(sameJobs(k.claim(20, posted...), posted[20:]), "the next claim goes on where the last one ended", "other jobs or another order")
}

func lineOrder(a, b queue.Job) int {
	switch {
	case a.Before(b):
		return -1
	case b.Before(a):
		return 1
	}
	return 0
}

// orders shows what decides about a line.
func orders(jobs []queue.Job) (list [][2]int64) {
	for _, j := range jobs {
		list = append(list, [2]int64{int64(j.Priority), j.Order})
	}
	return list
}

func claimOnlyProbed(k *jobKit) {
	wanted := k.enqueue(k.posting())[0]
	k.enqueue(k.posting(ofType("scan")))
	k.enqueue(k.posting(withTags(map[string]string{"a": "b"})))
	k.enqueue(k.posting(withPriority(1)))
	k.enqueue(k.posting(func(p *queue.Posting) { p.Organization = uuid.New() }))
	jobs := k.claim(10, wanted)
	k.must(sameJobs(jobs, []queue.Job{wanted}), "Claim takes jobs of the probed lanes only: organization, type, tags and priority all count", "%d jobs", len(jobs))
}

func claimBoost(k *jobKit) {
	low := k.enqueue(k.posting(withPriority(0)))[0]
	high := k.enqueue(k.posting(withPriority(3)))[0]
	ask := k.ask(1, low, high)
	ask.Probes[0].Boost = 4
	claimed, err := k.store.Claim(k.ctx, ask)
	k.noError(err, "Claim")
	k.must(sameJobs(claimed.Jobs, []queue.Job{low}), "a probe's boost counts with its lane's priority", "the boosted job did not go first")

	even := k.enqueue(k.posting(withPriority(1)))[0]
	ask = k.ask(2, even, high)
	ask.Probes[0].Boost = 2
	claimed, err = k.store.Claim(k.ctx, ask)
	k.noError(err, "Claim")
	want := []queue.Job{even, high}
	slices.SortFunc(want, func(a, b queue.Job) int {
		a.Priority, b.Priority = 0, 0
		return lineOrder(a, b)
	})
	k.must(sameJobs(claimed.Jobs, want), "lanes boosted to the same priority are merged by order number and id", "another order")
}

func claimBoostBeyond(k *jobKit) {
	top := k.enqueue(k.posting(withPriority(math.MaxInt16)))[0]
	low := k.enqueue(k.posting(withPriority(math.MinInt16)))[0]
	ask := k.ask(2, low, top)
	ask.Probes[0].Boost, ask.Probes[1].Boost = math.MaxInt16, math.MaxInt16
	claimed, err := k.store.Claim(k.ctx, ask)
	k.noError(err, "Claim")
	k.must(sameJobs(claimed.Jobs, []queue.Job{top, low}), "priority and boost add up without overflow", "another order, or %d jobs", len(claimed.Jobs))
}

func claimBoostNotStored(k *jobKit) {
	job := k.enqueue(k.posting(withPriority(1)))[0]
	ask := k.ask(1, job)
	ask.Probes[0].Boost = 9
	claimed, err := k.store.Claim(k.ctx, ask)
	k.noError(err, "Claim")
	k.must(claimed.Jobs[0].Priority == 1 && k.get(job.ID).Priority == 1, "a boost does not change the job's priority", "it did")
}

func claimBound(k *jobKit) {
	tenant := uuid.New()
	jobs := k.enqueue(k.postings(5, ofTenant(tenant))...)
	k.claim(2, jobs...)
	ask := k.ask(5, jobs...)
	ask.Probes[0].From = jobs[2].Order
	claimed, err := k.store.Claim(k.ctx, ask)
	k.noError(err, "Claim")
	k.must(sameJobs(claimed.Jobs, jobs[2:]), "a probe's bound excludes nothing at or above it", "%d jobs, want 3", len(claimed.Jobs))
}

func claimListed(k *jobKit) {
	limits := queue.Limits{PerTenant: 10}
	for _, limits := range []queue.Limits{{}, limits} {
		for _, skew := range []time.Duration{0, 20 * time.Millisecond, time.Second, 5 * time.Minute} {
			posted, err := k.store.Enqueue(k.ctx, k.now.Add(skew), k.postings(1)) // by a host whose clock is ahead
			k.noError(err, "Enqueue")
			k.must(len(k.ready().Lanes) == 1, "a job that is stored ready is listed, whatever the clock of who asks", "not with a clock %s behind", skew)
			ask := k.ask(1, posted...)
			ask.Limits = limits
			claimed, err := k.store.Claim(k.ctx, ask)
			k.noError(err, "Claim")
			k.must(sameJobs(claimed.Jobs, posted), "what is listed can be claimed, whatever the clock of who claims", "not with a clock %s behind", skew)
		}
	}
}

func claimFewer(k *jobKit) {
	jobs := k.enqueue(k.postings(3)...)
	claimed := k.claim(10, jobs...)
	k.must(len(claimed) == 3, "fewer jobs than workers means that there were no more", "%d of 3 claimed", len(claimed))
	k.must(len(k.claim(10, jobs...)) == 0, "a claimed job is not claimed again", "it was")
}

func claimNobody(k *jobKit) {
	job := k.enqueue(k.posting())[0]
	for name, ask := range map[string]queue.Claim{"workers": k.ask(0, job), "probes": k.ask(1)} {
		claimed, err := k.store.Claim(k.ctx, ask)
		k.must(err == nil && len(claimed.Jobs) == 0, "a claim without "+name+" takes nothing", "%+v, error %v", claimed, err)
	}
	k.must(k.get(job.ID).State == queue.Pending, "a claim without workers has no effect", "state %s", k.get(job.ID).State)
}

func claimNeverCanceled(k *jobKit) {
	jobs := k.enqueue(k.postings(2)...)
	k.cancel("changed my mind", jobs[0])
	claimed := k.claim(2, jobs...)
	k.must(sameJobs(claimed, jobs[1:]), "a pending job that was canceled is never handed out", "%d jobs claimed", len(claimed))
}

func claimUnknownProcess(k *jobKit) {
	ask := k.ask(1, k.enqueue(k.posting())...)
	ask.Process = uuid.New()
	_, err := k.store.Claim(k.ctx, ask)
	k.must(errors.Is(err, queue.ErrProcessLost), "a process that never sent a heartbeat gets ErrProcessLost", "error %v", err)
}

func claimLostProcess(k *jobKit) {
	job := k.enqueue(k.posting())[0]
	lost := uuid.New()
	k.heartbeat(lost)
	k.reap(lost, 1)
	ask := k.ask(1, job)
	ask.Process = lost
	_, err := k.store.Claim(k.ctx, ask)
	k.must(errors.Is(err, queue.ErrProcessLost), "a process declared lost gets ErrProcessLost", "error %v", err)
	k.must(k.get(job.ID).State == queue.Pending, "a refused claim has no effect", "state %s", k.get(job.ID).State)
}

func claimFence(k *jobKit) {
	job := k.running()
	fence, attempt := job.Fence, job.Attempt
	for range 3 {
		k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeRequeued})
		job = k.claim(1, job)[0]
		k.must(job.Fence == fence+1, "every claim raises the fence by one, and it never falls", "from %d to %d", fence, job.Fence)
		k.must(job.Attempt == attempt+1, "every claim adds one attempt", "from %d to %d", attempt, job.Attempt)
		fence, attempt = job.Fence, job.Attempt
	}
}

func claimToken(k *jobKit) {
	jobs := k.enqueue(k.postings(5)...)
	ask := k.ask(3, jobs...)
	claimed, err := k.store.Claim(k.ctx, ask)
	k.noError(err, "Claim")
	k.claim(2, jobs...)
	found := k.jobs(queue.Filter{Process: k.process, Token: ask.Token})
	k.must(len(found) == 3, "a claim whose answer was lost is found by its token", "%d jobs, want 3", len(found))
	for _, j := range found {
		k.must(slices.ContainsFunc(claimed.Jobs, func(c queue.Job) bool { return c.ID == j.ID && c.Lease() == j.Lease() }), "the token finds the jobs of that claim only", "job %s is of another", j.ID)
	}
}

func claimManyLanes(k *jobKit) {
	var posted []queue.Job
	for i := range 40 {
		tags := map[string]string{"set": string(rune('a' + i%26)), "size": string(rune('a' + i/26))}
		posted = append(posted, k.enqueue(k.postings(2, withTags(tags))...)...)
	}
	slices.SortFunc(posted, lineOrder)
	k.must(sameJobs(k.claim(50, posted...), posted[:50]), "a claim over many lanes keeps the line's order", "another order")
}
