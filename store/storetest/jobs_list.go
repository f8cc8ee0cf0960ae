package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
)

var jobListTests = []jobTest{
	{"Empty", listEmpty},
	{"OneOrganizationOnly", listNil},
	{"Refused", listRefused},
	{"CountTo", listCountTo},
	{"OnlyOrganization", listOfTheOnlyOrganization},
	{"WithoutPayload", listWithoutPayload},
	{"Random", listRandom},
	{"Needle", listNeedle},
	{"PagesBesideNewJobs", listBesideNew},
	{"BesideChanges", listBesideChanges},
	{"Before1970", listBefore1970},
}

func (k *jobKit) list(q queue.JobQuery) queue.JobPage {
	k.t.Helper()
	page, err := k.store.ListJobs(k.ctx, q)
	k.noError(err, "ListJobs")
	return page
}

// listAll reads all pages.
func (k *jobKit) listAll(q queue.JobQuery) (all []queue.Job) {
	k.t.Helper()
	for range 10_000 {
		page := k.list(q)
		all = append(all, page.Jobs...)
		if page.Next.IsZero() {
			return all
		}
		k.must(q.After.IsZero() || page.Next.Compare(q.After) < 0, "every page ends behind the one before", "%v after %v", page.Next, q.After)
		q.After = page.Next
	}
	k.t.Fatal("ListJobs does not come to an end")
	return nil
}

func listEmpty(k *jobKit) {
	page := k.list(queue.JobQuery{Organization: k.org})
	k.must(len(page.Jobs) == 0 && page.Next.IsZero(), "an organization without jobs has an empty page", "%+v", page)
	counts, err := k.store.CountJobs(k.ctx, queue.JobQuery{Organization: k.org}, 10)
	k.noError(err, "CountJobs")
	k.must(len(counts.States) == 0 && !counts.Partial, "an organization without jobs has no counts", "%+v", counts)
}

// listCountTo: of each state the latest jobs are looked at, whatever the query selects of them, and the answer says so.
func listCountTo(k *jobKit) {
	old, young := uuid.New(), uuid.New()
	for i, tenant := range []uuid.UUID{old, old, young} {
		k.now = k.now.Add(time.Duration(i) * time.Second)
		k.enqueue(k.posting(func(p *queue.Posting) { p.Tenant = tenant }))
	}
	k.cancel("no longer wanted", k.enqueue(k.posting())...)
	for _, c := range []struct {
		countTo         int
		q               queue.JobQuery
		pending, others int
		partial         bool
	}{
		{-1, queue.JobQuery{}, 1, 1, true},
		{0, queue.JobQuery{}, 1, 1, true},
		{2, queue.JobQuery{}, 2, 1, true},
		{4, queue.JobQuery{}, 3, 1, false},
		{2, queue.JobQuery{Tenant: old}, 1, 0, true},
		{2, queue.JobQuery{Tenant: young}, 1, 0, true},
		{2, queue.JobQuery{Type: "another"}, 0, 0, true},
		{2, queue.JobQuery{States: []queue.State{queue.Canceled}}, 0, 1, false},
		{4, queue.JobQuery{Tenant: old}, 2, 0, false},
	} {
		c.q.Organization = k.org
		counts, err := k.store.CountJobs(k.ctx, c.q, c.countTo)
		k.noError(err, "CountJobs")
		k.must(counts.States[queue.Pending] == c.pending && counts.States[queue.Canceled] == c.others && counts.Partial == c.partial,
			"CountJobs looks at the latest jobs of each state", "to %d of %+v got %+v, want %d pending and %d others, partial %t", c.countTo, c.q, counts, c.pending, c.others, c.partial)
	}
}

// listNil: a host with a single organization may give it no id.
func listNil(k *jobKit) {
	job := k.enqueue(k.posting(func(p *queue.Posting) { p.Organization = uuid.Nil }))[0]
	k.enqueue(k.posting())
	k.must(sameJobs(k.list(queue.JobQuery{}).Jobs, []queue.Job{job}), "the zero organization is one like others", "%+v", k.list(queue.JobQuery{}))
}

func listRefused(k *jobKit) {
	for name, q := range map[string]queue.JobQuery{
		"an unknown state": {Organization: k.org, States: []queue.State{"gone"}},
		"a limit too high": {Organization: k.org, Limit: queue.MaxPage + 1}, "a negative limit": {Organization: k.org, Limit: -1},
		"a type with a zero byte": {Organization: k.org, Type: "a\x00"}, "a type that is not UTF-8": {Organization: k.org, Type: "\xff"},
		"a tag that is not UTF-8": {Organization: k.org, Tag: queue.Tag{Key: "\xff"}}, "a tag without a key": {Organization: k.org, Tag: queue.Tag{Value: "a"}},
		"a tag with a zero byte": {Organization: k.org, Tag: queue.Tag{Key: "a", Value: "\x00"}},
	} {
		_, err := k.store.ListJobs(k.ctx, q)
		_, countErr := k.store.CountJobs(k.ctx, q, 1)
		k.must(errors.Is(err, invalid.Err) && errors.Is(countErr, invalid.Err), "a bad query is refused", "%s: %v, %v", name, err, countErr)
	}
}

// listOfTheOnlyOrganization is for hosts that have no organizations: theirs is the zero one.
func listOfTheOnlyOrganization(k *jobKit) {
	kind := "only-" + k.org.String()
	k.enqueue(k.posting(ofType(kind)))
	job := k.enqueue(k.posting(ofType(kind), func(p *queue.Posting) { p.Organization = uuid.Nil }))[0]
	page := k.list(queue.JobQuery{Type: kind})
	k.must(len(page.Jobs) == 1 && page.Jobs[0].ID == job.ID, "the zero organization is one like any other", "%+v", page)
	counts, err := k.store.CountJobs(k.ctx, queue.JobQuery{Type: kind}, 10)
	k.noError(err, "CountJobs")
	k.must(counts.States[queue.Pending] == 1, "its jobs are counted", "%+v", counts)
}

func listWithoutPayload(k *jobKit) {
	job := k.running(func(p *queue.Posting) { p.Payload = []byte("payload") })
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeSucceeded, Result: []byte("result")})
	want := k.get(job.ID)
	want.Payload, want.Result = nil, nil
	page := k.list(queue.JobQuery{Organization: k.org})
	k.must(len(page.Jobs) == 1 && reflect.DeepEqual(page.Jobs[0], want), "jobs are listed as stored, without payload and result", "got  %+v\n\twant %+v", page.Jobs, want)
}

// listRandom compares lists and counts of random queries with what [queue.JobQuery.Selects] says of all jobs.
func listRandom(k *jobKit) {
	random := rand.New(rand.NewPCG(5, 6))
	tenants := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	tags := []map[string]string{nil, {"a": "b"}, {"a": "c"}, {"a": "b", "scope": "user", "owner": "x"}, {"aa": "b"}}
	begin := k.now
	var ids []uuid.UUID
	for range 150 {
		k.pass(time.Duration(random.IntN(3)) * time.Second)
		job := k.enqueue(k.posting(ofTenant(tenants[random.IntN(3)]), withTags(tags[random.IntN(5)]),
			ofType([]string{"build", "scan"}[random.IntN(2)]), withPriority(int16(random.IntN(2)))))[0]
		ids = append(ids, job.ID)
		switch random.IntN(5) {
		case 0:
			k.cancel("", job)
		case 1:
			claimed := k.claim(1, job)[0]
			k.end(queue.End{Handout: k.handout(claimed), Outcome: []queue.Outcome{queue.OutcomeSucceeded, queue.OutcomeFailed}[random.IntN(2)]})
		case 2:
			k.claim(1, job)
		}
	}
	k.enqueue(k.posting(func(p *queue.Posting) { p.Organization = uuid.New() }))
	all := k.jobs(queue.Filter{IDs: ids})
	slices.SortFunc(all, func(a, b queue.Job) int { return queue.PlaceOf(b).Compare(queue.PlaceOf(a)) })
	for range 60 {
		q := k.randomQuery(random, tenants, begin)
		full, err := q.Normalize()
		k.noError(err, "Normalize")
		want, counts := []uuid.UUID{}, map[queue.State]int{}
		for _, j := range all {
			if full.Selects(j) {
				want = append(want, j.ID)
				counts[j.State]++
			}
		}
		got := idsOfJobs(k.listAll(q))
		k.must(slices.Equal(got, want), "the pages hold all jobs that a query selects, the latest first", "%+v: %d jobs, want %d", q, len(got), len(want))
		counted, err := k.store.CountJobs(k.ctx, q, 1000)
		k.noError(err, "CountJobs")
		k.must(reflect.DeepEqual(counted.States, counts) && !counted.Partial, "CountJobs counts by state what a query selects", "%+v: %+v, want %v", q, counted, counts)
	}
}

func (k *jobKit) randomQuery(random *rand.Rand, tenants []uuid.UUID, begin time.Time) queue.JobQuery {
	q := queue.JobQuery{Organization: k.org, Limit: 1 + random.IntN(40)}
	for range random.IntN(3) {
		q.States = append(q.States, []queue.State{queue.Pending, queue.Running, queue.Succeeded, queue.Failed, queue.Canceled}[random.IntN(5)])
	}
	if random.IntN(2) == 0 {
		q.Type = []string{"build", "scan", "none"}[random.IntN(3)]
	}
	if random.IntN(2) == 0 {
		q.Tenant = tenants[random.IntN(3)]
	}
	if random.IntN(2) == 0 {
		q.Tag = []queue.Tag{{Key: "a", Value: "b"}, {Key: "scope", Value: "organization"}, {Key: "owner", Value: "x"}, {Key: "z", Value: "b"}}[random.IntN(4)]
	}
	if random.IntN(3) == 0 {
		q.From = begin.Add(time.Duration(random.IntN(100)) * time.Second)
	}
	if random.IntN(3) == 0 {
		q.Until = begin.Add(time.Duration(random.IntN(200)) * time.Second)
	}
	return q
}

// listNeedle looks for the oldest of more jobs than a page may look at.
func listNeedle(k *jobKit) {
	needle := k.enqueue(k.posting(ofType("scan")))[0]
	for range queue.MaxExamined/1000 + 1 {
		k.pass(time.Second)
		k.enqueue(k.postings(1000, ofTenant(uuid.Nil))...)
	}
	q := queue.JobQuery{Organization: k.org, Type: "scan", Limit: 5}
	k.must(sameJobs(k.listAll(q), []queue.Job{needle}), "what is rare is found, be it on a later page", "it is not")
	counts, err := k.store.CountJobs(k.ctx, queue.JobQuery{Organization: k.org}, 100)
	k.noError(err, "CountJobs")
	k.must(!counts.Partial || counts.States[queue.Pending] == 100, "a count that is partial has looked at as many as it was asked to", "%+v", counts)
}

func listBesideNew(k *jobKit) {
	jobs := k.enqueue(k.postings(6)...)
	first := k.list(queue.JobQuery{Organization: k.org, Limit: 3})
	k.pass(time.Second)
	k.enqueue(k.postings(3)...)
	second := k.list(queue.JobQuery{Organization: k.org, Limit: 3, After: first.Next})
	got := idsOfJobs(append(first.Jobs, second.Jobs...))
	want := idsOfJobs(jobs)
	slices.SortFunc(want, func(a, b uuid.UUID) int { return slices.Compare(b[:], a[:]) })
	k.must(slices.Equal(got, want), "jobs posted meanwhile move nothing between the pages", "%v, want %v", got, want)
}

// listBesideChanges: a job that goes from state to state is in one of them, whenever somebody looks.
func listBesideChanges(k *jobKit) {
	ids := idsOfJobs(k.enqueue(k.posting()))
	look := func() error {
		q := queue.JobQuery{Organization: k.org}
		page, err := k.store.ListJobs(k.ctx, q)
		if err != nil {
			return err
		}
		counts, err := k.store.CountJobs(k.ctx, q, 10)
		if err != nil {
			return err
		}
		counted := 0
		for _, n := range counts.States {
			counted += n
		}
		if len(page.Jobs) != 1 || counted != 1 {
			return fmt.Errorf("broken rule: a list and a count are of one instant: listed %d and counted %v of one job", len(page.Jobs), counts.States)
		}
		return nil
	}
	change := func() error {
		if _, err := k.store.Cancel(k.ctx, queue.Cancellation{Now: k.now, IDs: ids}); err != nil {
			return err
		}
		_, err := k.store.RetryJobs(k.ctx, queue.Retry{Now: k.now, IDs: ids})
		return err
	}
	const looks = 15 // of each
	var looking atomic.Int64
	looking.Store(int64(k.racers - 1))
	k.race(func(i int) (err error) {
		if i == 0 {
			for err == nil && looking.Load() > 0 {
				err = change()
			}
			return err
		}
		defer looking.Add(-1)
		for n := 0; n < looks && err == nil; n++ {
			err = look()
		}
		return err
	})
}
