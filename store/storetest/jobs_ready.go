package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var jobReadyTests = []jobTest{
	{"EmptyStore", readyEmpty},
	{"OneEntryForEachLane", readyLanes},
	{"Organizations", readyOrganizations},
	{"CountTo", readyCountTo},
	{"FirstInLine", readyFirst},
	{"OnlyReady", readyOnlyReady},
	{"DelayedTurnReady", readyDelayed},
	{"DelayedStandAtTheNumberClaimedLast", readyDelayedOrder},
	{"ClaimedWhileListed", readyAfterClaims},
	{"NextOfOrganization", readyNextOfOrganization},
	{"NextOfMany", readyNextOfMany},
	{"ManyLanes", readyManyLanes},
}

func readyEmpty(k *jobKit) {
	listing := k.ready()
	k.must(len(listing.Lanes) == 0 && listing.Next.IsZero(), "an empty store has no ready lanes and no next time", "%+v", listing)
}

func readyLanes(k *jobKit) {
	tags := map[string]string{"gpu": "yes"}
	want := make(map[queue.Lane]int)
	for i, change := range [][]func(*queue.Posting){
		{}, {ofType("scan")}, {withTags(tags)}, {withPriority(2)}, {ofType("scan"), withTags(tags), withPriority(-2)},
	} {
		for _, j := range k.enqueue(k.postings(i+1, change...)...) {
			want[j.Lane()]++
		}
	}
	got := make(map[queue.Lane]int)
	for _, ready := range k.ready().Lanes {
		_, twice := got[ready.Lane]
		k.must(!twice, "a lane is listed once", "lane %+v twice", ready.Lane)
		got[ready.Lane] = ready.Count
	}
	k.must(len(got) == len(want), "Ready lists every lane that holds ready jobs", "%d lanes, want %d", len(got), len(want))
	for lane, n := range want {
		k.must(got[lane] == n, "Ready counts the jobs of a lane", "lane %+v has %d, want %d", lane, got[lane], n)
	}
}

func readyOrganizations(k *jobKit) {
	other, third := uuid.New(), uuid.New()
	k.enqueue(k.posting())
	k.enqueue(k.posting(func(p *queue.Posting) { p.Organization = other }))
	k.enqueue(k.posting(func(p *queue.Posting) { p.Organization = third }))
	k.must(len(k.ready().Lanes) == 3, "without organizations Ready lists all", "%d lanes, want 3", len(k.ready().Lanes))
	listing := k.ready(k.org, third, uuid.New())
	k.must(len(listing.Lanes) == 2, "Ready lists the organizations asked for", "%d lanes, want 2", len(listing.Lanes))
	for _, s := range listing.Lanes {
		k.must(s.Lane.Organization != other, "Ready lists no other organization", "lane %+v", s.Lane)
	}
}

func readyCountTo(k *jobKit) {
	k.enqueue(k.postings(7)...)
	for bound, want := range map[int]int{1: 1, 3: 3, 7: 7, 100: 7} {
		listing, err := k.store.Ready(k.ctx, k.now, queue.ReadyQuery{CountTo: bound})
		k.noError(err, "Ready")
		k.must(len(listing.Lanes) == 1 && listing.Lanes[0].Count == want, "Ready counts up to CountTo", "CountTo %d: %+v, want %d", bound, listing.Lanes, want)
	}
}

func readyFirst(k *jobKit) {
	tenant := uuid.New()
	jobs := k.enqueue(k.posting(ofTenant(tenant)))
	k.pass(time.Second)
	jobs = append(jobs, k.enqueue(k.posting(ofTenant(tenant)))...)
	for _, want := range jobs {
		s := k.ready().Lanes[0]
		k.must(s.From == want.Order, "From is the lowest order number of the ready jobs", "%d, want %d", s.From, want.Order)
		k.must(s.Oldest.Equal(want.CreatedAt), "Oldest is when the first in line was created", "%s, want %s", s.Oldest, want.CreatedAt)
		k.claim(1, want)
	}
}

func readyOnlyReady(k *jobKit) {
	jobs := k.enqueue(k.postings(3, ofTenant(uuid.New()))...)
	running := k.claim(1, jobs...)[0]
	k.cancel("", jobs[1], jobs[2])
	k.must(len(k.ready().Lanes) == 0, "running and canceled jobs are in no lane", "%+v", k.ready().Lanes)
	k.end(queue.End{Handout: k.handout(running), Outcome: queue.OutcomeRequeued})
	k.must(len(k.ready().Lanes) == 1, "a requeued job is in its lane again", "%+v", k.ready().Lanes)
}

func readyDelayed(k *jobKit) {
	at := k.now.Add(time.Minute)
	job := k.enqueue(k.posting(notBefore(at)))[0]
	listing := k.ready()
	k.must(len(listing.Lanes) == 0, "a job is in no lane before its ReadyAt", "%+v", listing.Lanes)
	k.must(listing.Next.Equal(at), "Next is the earliest ReadyAt in the future", "%s, want %s", listing.Next, at)
	k.must(len(k.claim(1, job)) == 0, "a job is not claimed before its ReadyAt", "it was claimed")
	k.pass(time.Minute)
	k.must(len(k.claim(1, job)) == 0, "a job whose ReadyAt has come is not claimed before a Ready", "it was claimed")
	listing = k.ready()
	k.must(len(listing.Lanes) == 1 && listing.Next.IsZero(), "jobs whose ReadyAt has come turn ready in the same call", "%+v", listing)
	k.must(len(k.claim(1, job)) == 1, "a job that turned ready can be claimed", "it was not claimed")
}

func readyNextOfOrganization(k *jobKit) {
	other := uuid.New()
	near, far := k.now.Add(time.Minute), k.now.Add(time.Hour)
	k.enqueue(k.posting(notBefore(far)))
	k.enqueue(k.posting(notBefore(near), func(p *queue.Posting) { p.Organization = other }))
	k.must(k.ready(k.org).Next.Equal(far), "Next is among the organizations asked for", "%s, want %s", k.ready(k.org).Next, far)
	k.must(k.ready().Next.Equal(near), "Next is the earliest of all when all are asked for", "%s, want %s", k.ready().Next, near)
}

// What turns ready late stands where one that is tried again does: in front of what waits, and not in front of what was claimed.
func readyDelayedOrder(k *jobKit) {
	early := k.enqueue(k.posting(notBefore(k.now.Add(time.Minute))), k.posting(notBefore(k.now.Add(time.Minute)), withPriority(1)))
	tenant := uuid.New()
	others := k.enqueue(k.postings(5, ofTenant(tenant))...)
	claimed := k.claim(3, others...)
	k.pass(time.Minute)
	k.ready()
	next := k.claim(2, append(others, early...)...)
	k.must(len(next) == 2 && next[0].ID == early[1].ID && next[1].ID == early[0].ID,
		"jobs whose time has come go in front of what waits at their priority", "%v", next)
	k.must(next[1].Order == claimed[2].Order, "a job whose time has come stands at the number claimed last", "%d, want %d", next[1].Order, claimed[2].Order)
	k.must(next[0].Order == early[1].Order, "where nothing was claimed it keeps its number", "%d, want %d", next[0].Order, early[1].Order)
}

// A store may remember where the front of a lane was; what comes back in front, and what is posted in lanes beside, between and
// behind those it remembers, is listed all the same.
func readyAfterClaims(k *jobKit) {
	tenant := uuid.New()
	jobs := k.enqueue(k.postings(8, ofTenant(tenant), ofType("k"), withPriority(1))...)
	delayed := k.enqueue(k.posting(notBefore(k.now.Add(time.Minute)), ofType("k"), withPriority(1)))
	var running []queue.Job
	for range 4 {
		k.ready(k.org)
		running = append(running, k.claim(2, jobs...)...)
	}
	k.must(len(running) == 8, "eight jobs are claimed", "%d", len(running))
	for range 3 {
		k.must(len(k.ready(k.org).Lanes) == 0, "a drained lane is not listed", "%+v", k.ready(k.org).Lanes)
	}
	k.end(queue.End{Handout: k.handout(running[0]), Outcome: queue.OutcomeRequeued})
	k.listed(running[0])
	k.claim(1, running[0])
	k.pass(time.Minute)
	k.listed(delayed[0])
	k.claim(1, delayed[0])
	tags := map[string]string{"gpu": "yes"}
	for _, change := range [][]func(*queue.Posting){
		{ofType("k"), withPriority(1)},
		{ofType("k"), withPriority(0)},
		{ofType("k"), withPriority(2)},
		{ofType("k"), withPriority(-1)},
		{ofType("k"), withTags(tags)},
		{ofType("k"), withTags(tags), withPriority(3)},
		{ofType("a")},
		{ofType("z")},
		{ofType("j"), withTags(tags)},
		{ofType("l"), withTags(tags), withPriority(-3)},
		{ofType("jj"), withPriority(1)},
	} {
		job := k.enqueue(k.posting(change...))[0]
		k.listed(job)
		k.claim(1, job)
		k.must(len(k.ready(k.org).Lanes) == 0, "a drained lane is not listed", "%+v", k.ready(k.org).Lanes)
	}
	for _, change := range [][]func(*queue.Posting){{ofType("k")}, {ofType("k"), withTags(tags)}, {ofType("a")}, {ofType("zz")}, {ofType("k"), withPriority(5)}} {
		k.enqueue(k.posting(change...))
	}
	lanes := k.ready(k.org).Lanes
	k.must(len(lanes) == 5, "Ready lists every lane that holds ready jobs", "%+v", lanes)
	for range 3 { // what is claimed under an old listing is seen in the next
		whole, err := k.store.Ready(k.ctx, k.now, queue.ReadyQuery{Organizations: []uuid.UUID{k.org}, CountTo: 1, Whole: true})
		k.noError(err, "Ready")
		k.must(len(whole.Lanes) == 5, "a whole listing is not shorter", "%+v", whole.Lanes)
	}
}

// listed sees that a look at the organization lists the lane of a job, and nothing else.
func (k *jobKit) listed(job queue.Job) {
	k.t.Helper()
	for range 2 {
		lanes := k.ready(k.org).Lanes
		k.must(len(lanes) == 1 && lanes[0].Lane == job.Lane() && lanes[0].Count == 1, "Ready lists the lane of a job that came back or in", "%+v", lanes)
	}
}

// readyNextOfMany has each organization be the one with the next job once, whatever the order of their ids.
func readyNextOfMany(k *jobKit) {
	var organizations []uuid.UUID
	for i := range 4 {
		org := uuid.New()
		organizations = append(organizations, org)
		at := k.now.Add(time.Duration(10-i) * time.Minute)
		k.enqueue(k.posting(notBefore(at.Add(time.Hour)), func(p *queue.Posting) { p.Organization = org }), k.posting(notBefore(at), func(p *queue.Posting) { p.Organization = org }))
		for _, next := range []time.Time{k.ready().Next, k.ready(organizations...).Next} {
			k.must(next.Equal(at), "Next is the earliest ReadyAt of all", "%s, want %s", next, at)
		}
	}
}
