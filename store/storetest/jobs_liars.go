package storetest

import (
	"bytes"
	"math/rand/v2"
	"reflect"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// liar is a worker that sends anything it has ever seen, in any combination, at any time. It has seen its own handouts of the past and
// of now, and of all other jobs whatever is not secret.
type liar struct {
	organization, worker uuid.UUID
	secrets              []queue.Secret
}

// seen is what everybody knows: all parts of handouts but the secret, and ids of everything.
type seen struct {
	handouts []queue.Handout
	ids      []uuid.UUID
	hashes   []queue.SecretHash // of the handouts
}

func (s *seen) job(j queue.Job) {
	s.handouts = append(s.handouts, queue.Handout{Lease: j.Lease(), Organization: j.Organization, Worker: j.Worker})
	s.ids = append(s.ids, j.ID, j.Organization, j.Worker, j.Token, j.Process, j.Tenant)
	s.hashes = append(s.hashes, j.SecretHash)
}

func one[T any](r *rand.Rand, list []T) (none T) {
	if len(list) == 0 {
		return none
	}
	return list[r.IntN(len(list))]
}

// lie makes up a handout: the one of a job that was seen, with some of its parts from elsewhere, and a secret that is not that job's.
func (l *liar) lie(r *rand.Rand, s *seen) queue.Handout {
	n := r.IntN(len(s.handouts))
	h := s.handouts[n]
	for _, change := range []func(){
		func() { h.Lease = one(r, s.handouts).Lease },
		func() { h.Lease.Fence += int64(r.IntN(5) - 2) },
		func() { h.Organization, h.Worker = l.organization, l.worker },
		func() { h.Organization = one(r, s.ids) },
		func() { h.Worker = one(r, s.ids) },
	} {
		if r.IntN(6) == 0 {
			change()
		}
	}
	switch r.IntN(6) {
	case 0:
		h.Secret = queue.Secret(s.hashes[n])
	case 1:
		id := one(r, s.ids)
		copy(h.Secret[r.IntN(2)*16:], id[:])
	case 2:
		h.Secret = queue.NewSecret()
	case 3: // none
	default:
		h.Secret = one(r, l.secrets)
	}
	return h
}

// handoutLiars lets workers of two organizations lie about everything. Whatever they send has no effect on a job that they were
// not given, and no answer has anything of it; what they say of their own jobs counts.
func handoutLiars(k *jobKit) {
	random := rand.New(rand.NewPCG(1, 2))
	marked := func(org uuid.UUID) func(p *queue.Posting) {
		return func(p *queue.Posting) { p.Organization, p.Payload = org, []byte("secret of "+org.String()) }
	}
	liars := []*liar{{organization: k.org, worker: uuid.New()}, {organization: uuid.New(), worker: uuid.New()}}
	var all seen
	var honest []queue.Job
	for _, l := range liars {
		for range 3 {
			j := k.running(marked(l.organization))
			all.job(j)
			honest = append(honest, j)
		}
		pending := k.enqueue(k.posting(marked(l.organization), ofType("later")))[0]
		all.job(pending)
		honest = append(honest, pending)
		for range 2 { // its own: one over, one given back
			j := k.running(marked(l.organization))
			l.secrets = append(l.secrets, k.handout(j).Secret)
			all.job(j)
			k.end(queue.End{Handout: k.handout(j), Outcome: one(random, []queue.Outcome{queue.OutcomeSucceeded, queue.OutcomeFailed})})
		}
	}
	process := uuid.New()
	k.heartbeat(process)
	for range 40 {
		var renewals []queue.Renewal
		var ends []queue.End
		for range 25 {
			l := one(random, liars)
			renewals = append(renewals, queue.Renewal{
				Handout: l.lie(random, &all), Process: process, Progress: &queue.Progress{Percent: 99, Message: "forged"},
				Lines: []queue.Line{{At: k.now, Text: "forged"}},
			})
			ends = append(ends, queue.End{
				Handout: l.lie(random, &all), Result: []byte("forged"), Error: "forged",
				Outcome: one(random, []queue.Outcome{
					queue.OutcomeSucceeded, queue.OutcomeFailed, queue.OutcomeCanceled, queue.OutcomeRequeued, queue.OutcomeReleased,
				}),
			})
		}
		renewed, err := k.store.Renew(k.ctx, k.now, distinctRenewals(renewals))
		k.noError(err, "Renew")
		for _, a := range renewed {
			k.must(a == queue.Renewed{Err: queue.ErrLeaseLost}, "a lie is answered as any lost lease is", "%+v", a)
		}
		ended, err := k.store.End(k.ctx, k.now, distinctEnds(ends))
		k.noError(err, "End")
		for _, a := range ended {
			k.must(a.Err != nil || a.Again, "a lie ends nothing", "%+v", a)
			k.must(!bytes.Contains(a.Job.Payload, []byte("secret")), "no answer has a payload in it", "%+v", a)
		}
	}
	for _, j := range honest {
		k.must(reflect.DeepEqual(k.get(j.ID), j) && len(k.lines(j.ID, 0, 9)) == 0, "no lie has an effect on a job of others", "before %+v\n\tafter  %+v", j, k.get(j.ID))
		if j.State == queue.Running {
			k.must(k.end(queue.End{Handout: k.handout(j), Outcome: queue.OutcomeSucceeded}).Err == nil, "the worker that has it ends it", "it does not")
		}
	}
}

// No lease occurs twice in one call.
func distinctRenewals(all []queue.Renewal) (some []queue.Renewal) {
	met := make(map[uuid.UUID]bool)
	for _, r := range all {
		if !met[r.Lease.Job] {
			met[r.Lease.Job] = true
			some = append(some, r)
		}
	}
	return some
}

func distinctEnds(all []queue.End) (some []queue.End) {
	met := make(map[uuid.UUID]bool)
	for _, e := range all {
		if !met[e.Lease.Job] {
			met[e.Lease.Job] = true
			some = append(some, e)
		}
	}
	return some
}
