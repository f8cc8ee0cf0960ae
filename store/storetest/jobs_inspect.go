package storetest

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var jobInspectTests = []jobTest{
	{"ByIDs", inspectIDs},
	{"ByProcess", inspectProcess},
	{"ByLane", inspectLane},
	{"ZeroFilter", inspectZero},
	{"LinesPage", inspectLines},
	{"NoLines", inspectNoLines},
	{"Ahead", inspectAhead},
	{"AheadCountTo", inspectAheadCount},
	{"AheadOfNothing", inspectAheadNothing},
}

func inspectIDs(k *jobKit) {
	var want []queue.Job
	for range 5 {
		want = append(want, k.enqueue(k.posting())...)
		k.pass(time.Microsecond)
	}
	ids := idsOfJobs(want)
	slices.Reverse(ids)
	got := k.jobs(queue.Filter{IDs: append(ids, uuid.New())})
	k.must(sameJobs(got, want), "Jobs returns jobs by creation time; unknown ids are absent", "%v, want %v", idsOfJobs(got), idsOfJobs(want))
	got = k.jobs(queue.Filter{IDs: ids, Limit: 2})
	k.must(sameJobs(got, want[:2]), "Limit keeps the first", "%v", idsOfJobs(got))
	got = k.jobs(queue.Filter{IDs: ids, CreatedBefore: want[3].CreatedAt})
	k.must(sameJobs(got, want[:3]), "CreatedBefore keeps the jobs created before it", "%d jobs, want 3", len(got))
}

func inspectProcess(k *jobKit) {
	job := k.running()
	ended := k.running()
	k.end(queue.End{Handout: k.handout(ended), Outcome: queue.OutcomeSucceeded})
	k.enqueue(k.posting())
	got := k.jobs(queue.Filter{Process: k.process})
	k.must(sameJobs(got, []queue.Job{job}), "Process selects the running jobs that it holds", "%d jobs, want 1", len(got))
	k.must(len(k.jobs(queue.Filter{Process: uuid.New()})) == 0, "an unknown process holds nothing", "it does")
	k.must(len(k.jobs(queue.Filter{Process: k.process, Token: uuid.New()})) == 0, "an unknown token claimed nothing", "it did")
	got = k.jobs(queue.Filter{Process: k.process, IDs: []uuid.UUID{ended.ID, job.ID}})
	k.must(sameJobs(got, []queue.Job{job}), "Jobs returns those that meet every field that is set", "%d jobs, want 1", len(got))
}

func inspectLane(k *jobKit) {
	first := k.enqueue(k.posting())[0]
	k.pass(time.Microsecond)
	delayed := k.enqueue(k.posting(notBefore(k.now.Add(time.Hour))))[0]
	k.enqueue(k.posting(ofType("scan")), k.posting(withPriority(1)), k.posting(withTags(map[string]string{"a": "b"})))
	k.cancel("", k.enqueue(k.posting())...)
	lane := first.Lane()
	got := k.jobs(queue.Filter{Lane: &lane})
	k.must(sameJobs(got, []queue.Job{first, delayed}), "Lane selects the pending jobs of a lane, delayed ones included", "%d jobs, want 2", len(got))
}

func inspectZero(k *jobKit) {
	k.enqueue(k.posting())
	k.must(len(k.jobs(queue.Filter{})) == 0, "the zero filter selects nothing", "it selects something")
	k.must(len(k.jobs(queue.Filter{IDs: []uuid.UUID{}})) == 0, "an empty list of ids selects nothing", "it selects something")
}

func inspectLines(k *jobKit) {
	job := k.running()
	for _, text := range []string{"a", "b", "c", "d", "e"} {
		k.renew(queue.Renewal{Handout: k.handout(job), Process: k.process, Lines: []queue.Line{{At: k.now, Text: text}}})
	}
	var got string
	after := int64(0)
	for {
		page := k.lines(job.ID, after, 2)
		k.must(len(page) <= 2, "Lines returns up to limit lines", "%d", len(page))
		if len(page) == 0 {
			break
		}
		for _, line := range page {
			got += line.Text
			after = line.Seq
		}
	}
	k.must(got == "abcde", "Lines returns the lines above a number in order", "%q", got)
	k.must(len(k.lines(uuid.New(), 0, 2)) == 0, "an unknown job has no lines", "it has")
}

func inspectAhead(k *jobKit) {
	tenant := uuid.New()
	jobs := k.enqueue(k.postings(4, ofTenant(tenant))...)
	high := k.enqueue(k.postings(2, withPriority(1))...)
	tagged := k.enqueue(k.posting(withTags(map[string]string{"a": "b"})))[0]
	k.enqueue(k.posting(withPriority(-1)))
	k.enqueue(k.posting(func(p *queue.Posting) { p.Organization = uuid.New() }))
	k.enqueue(k.posting(withPriority(1), notBefore(k.now.Add(time.Hour))))
	last := jobs[3]
	want := map[queue.Lane]int{last.Lane(): 3, high[0].Lane(): 2, tagged.Lane(): 1}
	got := make(map[queue.Lane]int)
	lanes, err := k.store.Ahead(k.ctx, last.ID, 100)
	k.noError(err, "Ahead")
	for _, s := range lanes {
		got[s.Lane] = s.Count
	}
	k.must(len(got) == len(want), "Ahead lists the lanes of the organization with ready jobs that go before", "%d lanes, want %d: %+v", len(got), len(want), lanes)
	for lane, n := range want {
		k.must(got[lane] == n, "Ahead counts the ready jobs that go before by Job.Before", "%d, want %d in %+v", got[lane], n, lane)
	}
}

func inspectAheadCount(k *jobKit) {
	jobs := k.enqueue(k.postings(9, ofTenant(uuid.New()))...)
	lanes, err := k.store.Ahead(k.ctx, jobs[8].ID, 5)
	k.noError(err, "Ahead")
	k.must(len(lanes) == 1 && lanes[0].Count == 5, "Ahead counts up to countTo", "%+v", lanes)
}

func inspectAheadNothing(k *jobKit) {
	running := k.running()
	for name, id := range map[string]uuid.UUID{"running": running.ID, "unknown": uuid.New()} {
		lanes, err := k.store.Ahead(k.ctx, id, 5)
		k.must(err == nil && len(lanes) == 0, "nothing goes before a job that is "+name, "%+v, error %v", lanes, err)
	}
	first := k.enqueue(k.posting())[0]
	lanes, err := k.store.Ahead(k.ctx, first.ID, 5)
	k.must(err == nil && len(lanes) == 0, "nothing goes before the first job", "%+v, error %v", lanes, err)
}
