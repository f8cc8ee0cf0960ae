package storetest

import (
	"errors"
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var jobRegistryTests = []jobTest{
	{"HeartbeatsCount", heartbeatCounts},
	{"Workers", heartbeatWorkers},
	{"FleetCounts", heartbeatFleet},
	{"FleetNamesCancellations", heartbeatCanceled},
	{"Reap", reapSilent},
	{"ReapTheLiving", reapLiving},
	{"ReapUnknown", reapUnknown},
	{"ReapInterrupted", reapInterrupted},
	{"LostStaysLost", reapForEver},
	{"ReapUnregistered", reapUnregistered},
	{"Unreadable", readUnreadable},
	{"PruneJobs", pruneEnded},
	{"PruneNothing", pruneNothing},
	{"PruneReturning", pruneReturning},
	{"PruneProcesses", pruneProcesses},
	{"PruneUnused", pruneUnused},
	{"PrunedOrganizationBeginsAnew", pruneBeginsAnew},
}

// find returns a process of a fleet.
func (k *jobKit) find(fleet queue.Fleet, id uuid.UUID) (queue.Process, bool) {
	for _, p := range fleet.Processes {
		if p.ID == id {
			return p, true
		}
	}
	return queue.Process{}, false
}

func heartbeatCounts(k *jobKit) {
	other := uuid.New()
	k.heartbeat(other)
	k.pass(time.Second)
	first, ok := k.find(k.heartbeat(other), other)
	k.must(ok && first.Name == "test" && first.HeartbeatAt.Equal(k.now) && !first.Lost, "a fleet holds the caller", "%+v", first)
	fleet := k.heartbeat(other)
	second, _ := k.find(fleet, other)
	k.must(second.Heartbeats == first.Heartbeats+1, "each heartbeat counts one", "%d after %d", second.Heartbeats, first.Heartbeats)
	mine, ok := k.find(fleet, k.process)
	k.must(ok && mine.Heartbeats == 1, "a fleet holds all processes, and a heartbeat counts for its process only", "%+v", mine)
}

func heartbeatWorkers(k *jobKit) {
	domain, err := queue.NewDomain(k.org, []string{"scan", "build"}, map[string]string{"gpu": "yes"})
	k.noError(err, "NewDomain")
	plain, err := queue.NewDomain(uuid.New(), []string{"build"}, nil)
	k.noError(err, "NewDomain")
	workers := []queue.DomainWorkers{{Domain: domain, Waiting: 3, Busy: 2}, {Domain: plain, Waiting: 1}}
	say := func(workers []queue.DomainWorkers) []queue.DomainWorkers {
		fleet, err := k.store.Heartbeat(k.ctx, queue.Heartbeat{Process: k.process, Name: "test", Now: k.now, Workers: workers})
		k.noError(err, "Heartbeat")
		p, _ := k.find(fleet, k.process)
		return p.Workers
	}
	got := say(workers)
	k.must(reflect.DeepEqual(got, workers), "a fleet lists the workers as they were given", "got  %+v\n\twant %+v", got, workers)
	k.must(reflect.DeepEqual(say(nil), workers), "nil workers keep what was said before", "%+v", got)
	got = say([]queue.DomainWorkers{})
	k.must(len(got) == 0, "empty workers replace what was said before", "%+v", got)
}

func heartbeatFleet(k *jobKit) {
	other := uuid.New()
	k.heartbeat(other)
	jobs := k.enqueue(append(k.postings(3), k.postings(2, ofType("scan"))...)...)
	foreign := k.enqueue(k.posting(func(p *queue.Posting) { p.Organization = uuid.New() }))[0]
	k.claim(2, jobs[0])
	k.claim(1, jobs[3])
	ask := k.ask(1, foreign)
	ask.Process = other
	_, err := k.store.Claim(k.ctx, ask)
	k.noError(err, "Claim")
	fleet := k.heartbeat(k.process)
	want := map[queue.Kind]int{
		{Organization: k.org, Type: "build"}: 2, {Organization: k.org, Type: "scan"}: 1,
		{Organization: foreign.Organization, Type: "build"}: 1,
	}
	k.must(reflect.DeepEqual(fleet.Running, want), "a fleet counts the running jobs of each kind in all processes", "got  %v\n\twant %v", fleet.Running, want)
	mine, _ := k.find(fleet, k.process)
	theirs, _ := k.find(fleet, other)
	k.must(mine.Holding == 3 && theirs.Holding == 1, "a fleet says how many jobs each process holds", "%d and %d, want 3 and 1", mine.Holding, theirs.Holding)
}

func heartbeatCanceled(k *jobKit) {
	job := k.running()
	k.running()
	other := uuid.New()
	k.heartbeat(other)
	k.must(len(k.heartbeat(k.process).Canceled) == 0, "a fleet names no cancellation that nobody asked for", "it does")
	k.cancel("", job)
	for range 2 {
		got := k.heartbeat(k.process).Canceled
		k.must(len(got) == 1 && got[0] == job.Lease(), "a fleet names the caller's leases whose cancellation was asked for, until they end", "%v", got)
	}
	k.must(len(k.heartbeat(other).Canceled) == 0, "a fleet names only the caller's own leases", "it names another's")
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeCanceled})
	k.must(len(k.heartbeat(k.process).Canceled) == 0, "an ended job is not named any more", "it is")
}

// lose registers a process, lets it claim n jobs, and returns it with its heartbeats.
func (k *jobKit) lose(n int) (queue.Process, []queue.Job) {
	k.t.Helper()
	id := uuid.New()
	k.heartbeat(id)
	ask := k.ask(n, k.enqueue(k.postings(n)...)...)
	ask.Process = id
	claimed, err := k.store.Claim(k.ctx, ask)
	k.noError(err, "Claim")
	k.must(len(claimed.Jobs) == n, "Claim takes ready jobs", "%d of %d", len(claimed.Jobs), n)
	p, _ := k.find(k.heartbeat(k.process), id)
	return p, claimed.Jobs
}

func (k *jobKit) tryReap(p queue.Process, limit int) []queue.Job {
	k.t.Helper()
	reaped, err := k.store.Reap(k.ctx, queue.ReapRequest{Now: k.now, Process: p.ID, Heartbeats: p.Heartbeats, Limit: limit})
	k.noError(err, "Reap")
	again, err := k.store.Reap(k.ctx, queue.ReapRequest{Now: k.now, Process: p.ID, Heartbeats: -1, Limit: 1})
	k.noError(err, "Reap")
	k.must(reaped.Lost == again.Lost, "Reap says whether the process is lost", "%v, and then %v", reaped.Lost, again.Lost)
	return reaped.Jobs
}

func reapSilent(k *jobKit) {
	p, held := k.lose(3)
	jobs := k.tryReap(p, 10)
	k.must(len(jobs) == 3, "Reap returns the jobs that the process holds", "%d, want 3", len(jobs))
	k.must(k.get(held[0].ID).State == queue.Running, "Reap decides nothing about the jobs", "state %s", k.get(held[0].ID).State)
	got, ok := k.find(k.heartbeat(k.process), p.ID)
	k.must(ok && got.Lost && got.Holding == 3, "a lost process that holds jobs stays in the fleet", "%+v", got)
	for _, j := range jobs {
		k.end(queue.End{Handout: k.handout(j), Outcome: queue.OutcomeRequeued, Process: p.ID})
	}
	_, ok = k.find(k.heartbeat(k.process), p.ID)
	k.must(!ok, "a lost process that holds nothing leaves the fleet", "it is there")
}

func reapLiving(k *jobKit) {
	p, _ := k.lose(1)
	k.heartbeat(p.ID)
	k.must(len(k.tryReap(p, 10)) == 0, "a process that sent a heartbeat in the meantime is not reaped", "its jobs were returned")
	k.heartbeat(p.ID)
	got, _ := k.find(k.heartbeat(k.process), p.ID)
	k.must(!got.Lost, "a process that sent a heartbeat in the meantime is not lost", "it is")
}

func reapUnknown(k *jobKit) {
	jobs := k.tryReap(queue.Process{ID: uuid.New(), Heartbeats: 0}, 10)
	k.must(len(jobs) == 0, "reaping an unknown process does nothing", "%d jobs", len(jobs))
}

func reapInterrupted(k *jobKit) {
	p, _ := k.lose(5)
	first := k.tryReap(p, 2)
	k.must(len(first) == 2, "Reap returns up to Limit jobs", "%d, want 2", len(first))
	for _, j := range first {
		k.end(queue.End{Handout: k.handout(j), Outcome: queue.OutcomeFailed, Process: p.ID})
	}
	rest := k.tryReap(queue.Process{ID: p.ID, Heartbeats: p.Heartbeats + 7}, 10)
	k.must(len(rest) == 3, "the jobs of a process lost before are returned, whatever the heartbeats, so that a reaping can be finished", "%d, want 3", len(rest))
}

func reapForEver(k *jobKit) {
	p, _ := k.lose(1)
	k.tryReap(p, 1)
	_, err := k.store.Heartbeat(k.ctx, queue.Heartbeat{Process: p.ID, Name: "back", Now: k.now})
	k.must(errors.Is(err, queue.ErrProcessLost), "a process that was declared lost stays lost", "error %v", err)
}

func readUnreadable(k *jobKit) {
	if k.o.Garble == nil {
		k.t.Skip("no way to make something unreadable")
	}
	p, held := k.lose(1)
	good := k.enqueue(k.posting())[0]
	garbled := k.enqueue(k.posting(withTags(map[string]string{"x": k.org.String()})))[0]
	k.o.Garble(k.t, k.store, p.ID, garbled.Tags)
	fleet := k.heartbeat(k.process)
	got, ok := k.find(fleet, p.ID)
	k.must(ok && got.Holding == 1 && len(got.Workers) == 0 && fleet.Unreadable == 1, "a process whose workers cannot be read is in the fleet without them, and counted", "%+v, %d counted", got, fleet.Unreadable)
	listing := k.ready(k.org)
	k.must(len(listing.Lanes) == 1 && listing.Lanes[0].Lane == good.Lane() && listing.Unreadable == 1, "a lane whose tags cannot be read is left out, and counted", "%+v", listing)
	k.must(len(k.claim(2, good)) == 1, "what can be read is handed out", "it was not")
	k.must(len(k.tryReap(got, 9)) == len(held), "such a process can be reaped", "its jobs were not returned")
}

func reapUnregistered(k *jobKit) {
	if k.o.Unregister == nil {
		k.t.Skip("no way to delete a record")
	}
	p, held := k.lose(2)
	k.o.Unregister(k.t, k.store, p.ID)
	got, ok := k.find(k.heartbeat(k.process), p.ID)
	k.must(ok && got.Heartbeats == 0 && got.Holding == 2 && !got.Lost, "a process that holds jobs and is not registered is in the fleet, without heartbeats", "%v, %+v", ok, got)
	k.must(len(k.tryReap(got, 10)) == 2, "a process that holds jobs and is not registered can be reaped", "its jobs were not returned")
	answer := k.renew(queue.Renewal{Handout: k.handout(held[0]), Process: p.ID})
	k.must(errors.Is(answer.Err, queue.ErrProcessLost), "it is lost then", "error %v", answer.Err)
	for _, j := range held {
		answer := k.end(queue.End{Handout: k.handout(j), Outcome: queue.OutcomeRequeued, Process: p.ID})
		k.must(answer.Err == nil, "its jobs can be taken back", "error %v", answer.Err)
	}
	_, ok = k.find(k.heartbeat(k.process), p.ID)
	k.must(!ok, "a lost process that holds nothing leaves the fleet", "it is there")
}

func pruneEnded(k *jobKit) {
	end := func() queue.Job {
		job := k.running()
		k.renew(queue.Renewal{Handout: k.handout(job), Process: k.process, Lines: []queue.Line{{At: k.now, Text: "x"}}})
		return k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeSucceeded}).Job
	}
	old := []queue.Job{end(), end(), end()}
	running, pending := k.running(), k.enqueue(k.posting(ofType("scan")))[0]
	k.pass(time.Hour)
	before := k.now
	fresh := end()
	pruneJobs := func(limit int) int {
		n, err := k.store.PruneJobs(k.ctx, before, limit)
		k.noError(err, "PruneJobs")
		return n
	}
	k.must(pruneJobs(2) == 2 && pruneJobs(9) == 1 && pruneJobs(9) == 0, "PruneJobs deletes up to limit jobs that ended before the time, and says how many", "other numbers than 2, 1 and 0")
	k.must(len(k.jobs(queue.Filter{IDs: idsOfJobs(old)})) == 0, "pruned jobs are gone", "some are there")
	k.must(len(k.lines(old[0].ID, 0, 9)) == 0, "pruned jobs take their lines along", "some are there")
	kept := k.jobs(queue.Filter{IDs: []uuid.UUID{fresh.ID, running.ID, pending.ID}})
	k.must(len(kept) == 3, "PruneJobs keeps what ended later or lives", "%d of 3 left", len(kept))
}

func pruneProcesses(k *jobKit) {
	idle, _ := k.lose(0)
	holder, held := k.lose(1)
	k.tryReap(idle, 1)
	k.tryReap(holder, 1)
	k.pass(time.Hour)
	_, err := k.store.PruneJobs(k.ctx, k.now, 10)
	k.noError(err, "PruneJobs")
	_, ok := k.find(k.heartbeat(k.process), holder.ID)
	k.must(ok, "a lost process that holds jobs is not pruned", "it is gone")
	_, ok = k.find(k.heartbeat(k.process), k.process)
	k.must(ok, "a live process is not pruned", "it is gone")
	k.end(queue.End{Handout: k.handout(held[0]), Outcome: queue.OutcomeFailed})
}

// pruneUnused has tag sets and tenants that come back after all their jobs are gone, beside others that have waited all the time.
func pruneUnused(k *jobKit) {
	tenant, other := uuid.New(), uuid.New()
	again := func(p *queue.Posting) {
		p.Organization, p.Tenant, p.Tags = other, tenant, map[string]string{"once": "in a while"}
	}
	waiting := k.enqueue(k.posting(withTags(map[string]string{"waits": "1"})))[0]
	first := k.running(again)
	for range 4 {
		k.must(k.end(queue.End{Handout: k.handout(first), Outcome: queue.OutcomeSucceeded}).Err == nil, "End ends a running job", "it does not")
		for range 3 {
			k.pass(25 * time.Hour)
			_, err := k.store.PruneJobs(k.ctx, k.now, 10)
			k.noError(err, "PruneJobs")
		}
		job := k.running(again)
		k.must(job.Tags == first.Tags && job.Tenant == tenant, "a job of a tag set that was out of use is like any other", "tags %v", job.Tags)
		k.must(job.Order == first.Order, "what the jobs of an organization have left behind goes with the last of them", "number in line %d, the first had %d", job.Order, first.Order)
		k.must(k.get(job.ID).Tags == job.Tags, "its tags are stored", "%v", k.get(job.ID).Tags)
		first = job
	}
	k.must(len(k.ready(k.org).Lanes) == 1, "what has jobs stays", "%+v", k.ready(k.org))
	k.must(len(k.claim(1, waiting)) == 1, "a job that waits stays in its lane", "it cannot be claimed")
}

// What was learned of an organization's line is void once the line begins anew.
func pruneBeginsAnew(k *jobKit) {
	tenant := uuid.New()
	k.enqueue(k.posting(func(p *queue.Posting) { p.Organization = uuid.New() })) // its lane stays in use
	for range 2 {
		posted := k.enqueue(k.postings(20, ofTenant(tenant))...)
		lanes := k.ready(k.org).Lanes
		k.must(len(lanes) == 1 && lanes[0].From <= posted[0].Order,
			"Ready lists a job of an organization that had none for long", "%+v, the first job is %d", lanes, posted[0].Order)
		claimed := k.claim(20, posted...)
		k.must(len(claimed) == 20, "Claim takes ready jobs", "%d of 20", len(claimed))
		for range 4 { // learns from where on there is anything
			k.must(len(k.ready(k.org).Lanes) == 0, "Ready lists what waits", "%+v", k.ready(k.org))
		}
		for _, j := range claimed {
			k.must(k.end(queue.End{Handout: k.handout(j), Outcome: queue.OutcomeSucceeded}).Err == nil, "End ends a running job", "it does not")
		}
		for range 3 {
			k.pass(25 * time.Hour)
			_, err := k.store.PruneJobs(k.ctx, k.now, 100)
			k.noError(err, "PruneJobs")
		}
	}
}
