package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store"
)

// jobPlay is a history of a queue: a few organizations, tenants and kinds of jobs, so that much meets.
type jobPlay struct {
	*pair
	now                       time.Time
	orgs, tenants, processes  []uuid.UUID
	posted                    []uuid.UUID
	lanes                     []queue.Lane
	secrets                   map[queue.SecretHash]queue.Secret
	handouts                  []queue.Handout
	holders                   map[queue.Lease]uuid.UUID
	types, reasons, uniqueIDs []string
	tags                      []map[string]string
}

func alikeJobs(p *pair) {
	k := &jobPlay{
		pair: p, now: jobEpoch, orgs: p.ids(2), tenants: p.ids(3), processes: p.ids(3),
		secrets: map[queue.SecretHash]queue.Secret{}, holders: map[queue.Lease]uuid.UUID{},
		types: []string{"build", "plan"}, reasons: []string{"", "why", "a\x00b"}, uniqueIDs: []string{"", "", "u", "v"},
		tags: []map[string]string{nil, {"os": "linux"}, {"os": "linux", "gpu": "yes"}},
	}
	// An organization without jobs begins anew, as soon as a store finds out: each has one that is never over.
	for _, org := range k.orgs {
		never := queue.Posting{ID: k.id(), Organization: org, Type: "never", NotBefore: k.now.AddDate(1, 0, 0)}
		k.jobs("Enqueue what is never ready", func(s store.Store) ([]queue.Job, error) { return s.Enqueue(k.ctx, k.now, []queue.Posting{never}) })
	}
	for range k.processes {
		k.beat()
		k.post()
	}
	play(p, k, []func(*jobPlay){
		(*jobPlay).post, (*jobPlay).post, (*jobPlay).post, (*jobPlay).ready, (*jobPlay).claim, (*jobPlay).claim, (*jobPlay).claim,
		(*jobPlay).renew, (*jobPlay).renew, (*jobPlay).end, (*jobPlay).end, (*jobPlay).reassign, (*jobPlay).cancel, (*jobPlay).beat,
		(*jobPlay).reap, (*jobPlay).prune, (*jobPlay).retry, (*jobPlay).pause, (*jobPlay).resume, (*jobPlay).filter, (*jobPlay).filter,
		(*jobPlay).list, (*jobPlay).list, (*jobPlay).ahead, (*jobPlay).details, (*jobPlay).directory, (*jobPlay).forget,
		(*jobPlay).pass, (*jobPlay).pass,
	})
	k.everything()
}

func (k *jobPlay) pass() {
	k.now = k.now.Add(time.Duration(k.r.IntN(90)) * time.Second)
}

// byPlace sorts jobs whose order is nobody's promise.
func byPlace(jobs []queue.Job) []queue.Job {
	slices.SortFunc(jobs, func(a, b queue.Job) int { return queue.PlaceOf(a).Compare(queue.PlaceOf(b)) })
	return jobs
}

// jobs makes a call that answers with jobs.
func (k *jobPlay) jobs(say string, call func(store.Store) ([]queue.Job, error)) (jobs []queue.Job) {
	k.Helper()
	jobs, _ = ask(k.pair, say, call)
	return jobs
}

func (k *jobPlay) post() {
	postings := make([]queue.Posting, 1+k.r.IntN(4))
	for i := range postings {
		postings[i] = k.posting()
		if len(k.posted) > 0 && i == 0 && k.one(6) {
			// Without a key: one whose posting makes no job is free for the next, and who gets a number first is nobody's promise then.
			postings[i].ID, postings[i].Unique = anyOf(k.pair, k.posted), ""
		}
	}
	jobs := k.jobs(fmt.Sprintf("Enqueue %+v", postings), func(s store.Store) ([]queue.Job, error) { return s.Enqueue(k.ctx, k.now, postings) })
	for _, j := range jobs {
		if !slices.Contains(k.posted, j.ID) {
			k.posted = append(k.posted, j.ID)
		}
		if !slices.Contains(k.lanes, j.Lane()) {
			k.lanes = append(k.lanes, j.Lane())
		}
	}
}

func (k *jobPlay) posting() queue.Posting {
	p := queue.Posting{
		ID: k.id(), Organization: anyOf(k.pair, k.orgs), Tenant: anyOf(k.pair, k.tenants), Type: anyOf(k.pair, k.types), Tags: anyOf(k.pair, k.tags),
		Priority: int16(k.r.IntN(3) - 1), Weight: k.r.IntN(3), Unique: anyOf(k.pair, k.uniqueIDs), Payload: []byte("p"),
	}
	if k.one(3) {
		p.NotBefore = k.around(k.now, 3*time.Minute)
	}
	return p
}

func (k *jobPlay) ready() {
	k.listing(queue.ReadyQuery{Organizations: someOf(k.pair, append(k.ids(1), k.orgs...), k.r.IntN(4)), CountTo: k.r.IntN(4), Whole: k.one(2)})
}

func (k *jobPlay) listing(q queue.ReadyQuery) queue.Listing {
	k.Helper()
	listing, _ := ask(k.pair, fmt.Sprintf("Ready at %s %+v", k.now, q), func(s store.Store) (queue.Listing, error) {
		l, err := s.Ready(k.ctx, k.now, q)
		sortLanes(l.Lanes)
		return l, err
	})
	return listing
}

func sortLanes(lanes []queue.ReadyLane) {
	slices.SortFunc(lanes, func(a, b queue.ReadyLane) int { return strings.Compare(fmt.Sprint(a.Lane), fmt.Sprint(b.Lane)) })
}

func (k *jobPlay) claim() {
	c := queue.Claim{Token: k.id(), Process: k.process(), Now: k.now}
	org := anyOf(k.pair, k.orgs)
	from := map[queue.Lane]int64{}
	if k.one(2) { // what is listed may be claimed from where it begins
		for _, l := range k.listing(queue.ReadyQuery{Organizations: []uuid.UUID{org}, Whole: true}).Lanes {
			from[l.Lane] = l.From
		}
	}
	for _, lane := range someOf(k.pair, k.lanes, 1+k.r.IntN(12)) {
		if lane.Organization == org {
			c.Probes = append(c.Probes, queue.Probe{Lane: lane, From: from[lane], Boost: int16(k.r.IntN(3))})
		}
	}
	if len(c.Probes) == 0 {
		return
	}
	for range 1 + k.r.IntN(4) {
		secret := queue.Secret(slices.Concat(sliceOf(k.id()), sliceOf(k.id())))
		k.secrets[secret.Hash()] = secret
		c.Workers, c.Secrets = append(c.Workers, k.id()), append(c.Secrets, secret.Hash())
	}
	if k.one(2) {
		c.Limits = k.limits()
	}
	claimed, _ := ask(k.pair, fmt.Sprintf("Claim %+v", c), func(s store.Store) (queue.Claimed, error) { return s.Claim(k.ctx, c) })
	for _, j := range claimed.Jobs {
		j.Secret = k.secrets[j.SecretHash]
		k.handouts, k.holders[j.Lease()] = append(k.handouts, j.Handout()), c.Process
	}
}

func sliceOf(id uuid.UUID) []byte { return id[:] }

func (k *jobPlay) limits() (l queue.Limits) {
	if k.one(2) {
		l.PerTenant = 1 + k.r.IntN(3)
	}
	if k.one(3) {
		l.Tenants = map[uuid.UUID]int{anyOf(k.pair, k.tenants): 1 + k.r.IntN(4)}
	}
	if k.one(3) {
		l.Types = map[string]int{anyOf(k.pair, k.types): 1 + k.r.IntN(6)}
	}
	if k.one(3) {
		l.Classes = []queue.Class{{Priority: int16(k.r.IntN(3) - 1), Max: 1 + k.r.IntN(6)}}
	}
	return l
}

// process is mostly one that is registered.
func (k *jobPlay) process() uuid.UUID {
	if k.one(12) {
		return k.id()
	}
	return anyOf(k.pair, k.processes)
}

// handout is one that was given at some time, sometimes with a part of another.
func (k *jobPlay) handout() queue.Handout {
	from := max(0, len(k.handouts)-6)
	if k.one(3) {
		from = 0
	}
	h, other := anyOf(k.pair, k.handouts[from:]), anyOf(k.pair, k.handouts)
	if !k.one(3) {
		return h
	}
	switch k.r.IntN(6) {
	case 0:
		h.Secret = other.Secret
	case 1:
		h.Worker = other.Worker
	case 2:
		h.Organization = anyOf(k.pair, k.orgs)
	case 3:
		h.Lease.Fence += int64(k.r.IntN(3) - 1)
	case 4:
		h.Lease.Job = other.Lease.Job
	case 5:
		h.Secret = queue.Secret{}
	}
	return h
}

// leases are handouts for one call, no lease twice.
func (k *jobPlay) leases() (some []queue.Handout) {
	seen := map[queue.Lease]bool{}
	for range 1 + k.r.IntN(3) {
		if len(k.handouts) == 0 {
			break
		}
		if h := k.handout(); !seen[h.Lease] {
			seen[h.Lease] = true
			some = append(some, h)
		}
	}
	return some
}
