package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// jobKit is a store under test, with one organization and one registered process, and short words for what
// the tests do all the time. It is safe for concurrent use as far as the store is.
type jobKit struct {
	t       *testing.T
	ctx     context.Context
	store   queue.Store
	now     time.Time
	org     uuid.UUID
	process uuid.UUID
	// racers is how many goroutines race, an even number.
	racers int
	o      Options
	// secrets are those of all claims, by hash.
	secrets sync.Map
}

// jobEpoch is when every test begins: a moment with nothing special about it.
var jobEpoch = time.Date(2026, 3, 4, 5, 6, 7, 123456000, time.UTC)

func newJobKit(t *testing.T, store queue.Store, o Options) *jobKit {
	k := &jobKit{
		t: t, ctx: t.Context(), store: store, now: jobEpoch, org: uuid.New(), process: uuid.New(),
		racers: o.Goroutines + o.Goroutines%2, o: o,
	}
	k.heartbeat(k.process)
	return k
}

// must ends the test unless ok; the message begins with the rule.
func (k *jobKit) must(ok bool, rule, format string, args ...any) {
	k.t.Helper()
	if !ok {
		k.t.Fatalf("broken rule: "+rule+"\n\t"+format, args...)
	}
}

func (k *jobKit) noError(err error, verb string) {
	k.t.Helper()
	if err != nil {
		k.t.Fatalf("%s: unexpected error: %v", verb, err)
	}
}

// posting asks for a job of type "build" without tags, for a tenant of its own.
func (k *jobKit) posting(change ...func(*queue.Posting)) queue.Posting {
	p := queue.Posting{ID: uuid.New(), Organization: k.org, Tenant: uuid.New(), Type: "build"}
	for _, c := range change {
		c(&p)
	}
	return p
}

// postings asks for n jobs.
func (k *jobKit) postings(n int, change ...func(*queue.Posting)) []queue.Posting {
	list := make([]queue.Posting, n)
	for i := range list {
		list[i] = k.posting(change...)
	}
	return list
}

func ofTenant(id uuid.UUID) func(*queue.Posting) {
	return func(p *queue.Posting) { p.Tenant = id }
}

func ofType(name string) func(*queue.Posting) {
	return func(p *queue.Posting) { p.Type = name }
}

func withPriority(n int16) func(*queue.Posting) {
	return func(p *queue.Posting) { p.Priority = n }
}

func withTags(tags map[string]string) func(*queue.Posting) {
	return func(p *queue.Posting) { p.Tags = tags }
}

func notBefore(at time.Time) func(*queue.Posting) {
	return func(p *queue.Posting) { p.NotBefore = at }
}

func (k *jobKit) enqueue(postings ...queue.Posting) []queue.Job {
	k.t.Helper()
	jobs, err := k.store.Enqueue(k.ctx, k.now, postings)
	k.noError(err, "Enqueue")
	k.must(len(jobs) == len(postings), "Enqueue returns the jobs in the order of the postings", "%d jobs for %d postings", len(jobs), len(postings))
	return jobs
}

func (k *jobKit) ready(organizations ...uuid.UUID) queue.Listing {
	k.t.Helper()
	listing, err := k.store.Ready(k.ctx, k.now, queue.ReadyQuery{Organizations: organizations, CountTo: 1000})
	k.noError(err, "Ready")
	return listing
}

// claim asks for n jobs of the lanes in which the given jobs stand.
func (k *jobKit) claim(n int, of ...queue.Job) []queue.Job {
	k.t.Helper()
	claimed, err := k.store.Claim(k.ctx, k.ask(n, of...))
	k.noError(err, "Claim")
	return claimed.Jobs
}

// ask builds a claim.
func (k *jobKit) ask(n int, of ...queue.Job) queue.Claim {
	c := queue.Claim{Token: uuid.New(), Process: k.process, Now: k.now}
	seen := make(map[queue.Lane]bool)
	for _, j := range of {
		if lane := j.Lane(); !seen[lane] {
			seen[lane] = true
			c.Probes = append(c.Probes, queue.Probe{Lane: lane})
		}
	}
	for range n {
		c.Workers = append(c.Workers, uuid.New())
		c.Secrets = append(c.Secrets, k.secret().Hash())
	}
	return c
}

// secret makes a new secret, which [jobKit.handout] finds again by its hash.
func (k *jobKit) secret() queue.Secret {
	s := queue.NewSecret()
	k.secrets.Store(s.Hash(), s)
	return s
}

// handout is what the worker of a job got with it.
func (k *jobKit) handout(j queue.Job) queue.Handout {
	if s, ok := k.secrets.Load(j.SecretHash); ok {
		j.Secret = s.(queue.Secret)
	}
	return j.Handout()
}

// running posts and claims one job.
func (k *jobKit) running(change ...func(*queue.Posting)) queue.Job {
	k.t.Helper()
	posted := k.enqueue(k.posting(change...))
	k.ready()
	jobs := k.claim(1, posted...)
	k.must(len(jobs) == 1, "Claim takes ready jobs", "the only job was not claimed")
	return jobs[0]
}

func (k *jobKit) end(e queue.End) queue.Ended {
	k.t.Helper()
	answers, err := k.store.End(k.ctx, k.now, []queue.End{e})
	k.noError(err, "End")
	k.must(len(answers) == 1, "End answers in the order of the ends", "%d answers for one end", len(answers))
	return answers[0]
}

func (k *jobKit) renew(r queue.Renewal) queue.Renewed {
	k.t.Helper()
	answers, err := k.store.Renew(k.ctx, k.now, []queue.Renewal{r})
	k.noError(err, "Renew")
	k.must(len(answers) == 1, "Renew answers in the order of the renewals", "%d answers for one renewal", len(answers))
	return answers[0]
}

func (k *jobKit) cancel(reason string, jobs ...queue.Job) []queue.Job {
	k.t.Helper()
	c := queue.Cancellation{Now: k.now, IDs: idsOfJobs(jobs), Reason: reason}
	changed, err := k.store.Cancel(k.ctx, c)
	k.noError(err, "Cancel")
	return changed
}

func (k *jobKit) heartbeat(process uuid.UUID) queue.Fleet {
	k.t.Helper()
	fleet, err := k.store.Heartbeat(k.ctx, queue.Heartbeat{Process: process, Name: "test", Now: k.now})
	k.noError(err, "Heartbeat")
	return fleet
}

// reap declares the process lost, whatever its count of heartbeats is.
func (k *jobKit) reap(process uuid.UUID, limit int) []queue.Job {
	k.t.Helper()
	for _, p := range k.heartbeat(k.process).Processes {
		if p.ID == process {
			reaped, err := k.store.Reap(k.ctx, queue.ReapRequest{Now: k.now, Process: process, Heartbeats: p.Heartbeats, Limit: limit})
			k.noError(err, "Reap")
			return reaped.Jobs
		}
	}
	k.t.Fatalf("process %s is not in the fleet", process)
	return nil
}

// get reads one job as it is stored.
func (k *jobKit) get(id uuid.UUID) queue.Job {
	k.t.Helper()
	jobs := k.jobs(queue.Filter{IDs: []uuid.UUID{id}})
	k.must(len(jobs) == 1, "Jobs returns the job of an id", "%d jobs for id %s", len(jobs), id)
	return jobs[0]
}

func (k *jobKit) jobs(f queue.Filter) []queue.Job {
	k.t.Helper()
	jobs, err := k.store.Jobs(k.ctx, f)
	k.noError(err, "Jobs")
	return jobs
}

func (k *jobKit) pass(d time.Duration) { k.now = k.now.Add(d) }

func idsOfJobs(jobs []queue.Job) []uuid.UUID {
	ids := make([]uuid.UUID, len(jobs))
	for i, j := range jobs {
		ids[i] = j.ID
	}
	return ids
}

func sameJobs(a, b []queue.Job) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].ID != b[i].ID {
			return false
		}
	}
	return true
}

func lostLease(err error) bool { return errors.Is(err, queue.ErrLeaseLost) }
