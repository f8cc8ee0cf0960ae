package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store"
)

func (k *jobPlay) renew() {
	var renewals []queue.Renewal
	for _, h := range k.leases() {
		r := queue.Renewal{Handout: h, Process: k.process(), MaxLog: int64(k.r.IntN(2) * k.r.IntN(200))}
		if k.one(2) {
			r.Progress = &queue.Progress{Percent: k.r.IntN(101), Message: anyOf(k.pair, k.reasons)}
		}
		for range k.r.IntN(3) {
			r.Lines = append(r.Lines, queue.Line{At: k.now, Text: strings.Repeat("x", k.r.IntN(40))})
		}
		renewals = append(renewals, r)
	}
	if len(renewals) == 0 {
		return
	}
	type answer struct {
		Canceled bool
		Err      string
	}
	answers, _ := ask(k.pair, fmt.Sprintf("Renew %+v", renewals), func(s store.Store) (all []answer, err error) {
		renewed, err := s.Renew(k.ctx, k.now, renewals)
		for _, r := range renewed {
			all = append(all, answer{r.Canceled, refusal(r.Err)})
		}
		return all, err
	})
	for i, a := range answers {
		if a.Err == "" {
			k.holders[renewals[i].Lease] = renewals[i].Process
		}
	}
}

func (k *jobPlay) end() {
	var ends []queue.End
	for _, h := range k.leases() {
		e := queue.End{
			Handout: h, Error: anyOf(k.pair, k.reasons),
			Outcome: anyOf(k.pair, []queue.Outcome{queue.OutcomeSucceeded, queue.OutcomeFailed, queue.OutcomeCanceled, queue.OutcomeRequeued, queue.OutcomeReleased}),
		}
		if k.one(3) {
			e.Process = k.holders[h.Lease]
		}
		if k.one(4) {
			e.Process = k.process()
		}
		if k.one(3) {
			e.ReadyAt = k.around(k.now, 2*time.Minute)
		}
		if k.one(3) {
			e.Result = []byte("r")
		}
		ends = append(ends, e)
	}
	if len(ends) == 0 {
		return
	}
	type answer struct {
		Job   queue.Job
		Again bool
		Err   string
	}
	_, _ = ask(k.pair, fmt.Sprintf("End at %s %+v", k.now, ends), func(s store.Store) (all []answer, err error) {
		ended, err := s.End(k.ctx, k.now, ends)
		for _, e := range ended {
			all = append(all, answer{e.Job, e.Again, refusal(e.Err)})
		}
		return all, err
	})
}

func (k *jobPlay) reassign() {
	var moves []queue.Reassignment
	var from []queue.Handout
	for _, h := range k.leases() {
		m := queue.Reassignment{Lease: h.Lease, Process: k.holders[h.Lease], Worker: k.id()}
		if k.one(4) {
			m.Process = k.process()
		}
		moves, from = append(moves, m), append(from, h)
	}
	if len(moves) == 0 {
		return
	}
	accepted, _ := ask(k.pair, fmt.Sprintf("Reassign %+v", moves), func(s store.Store) ([]bool, error) { return s.Reassign(k.ctx, moves) })
	for i, ok := range accepted {
		if ok {
			from[i].Worker = moves[i].Worker
			k.handouts = append(k.handouts, from[i])
		}
	}
}

// known are some ids of jobs, one of which may be nobody's.
func (k *jobPlay) known(n int) []uuid.UUID {
	recent := k.posted[max(0, len(k.posted)-20):]
	if k.one(3) {
		recent = k.posted
	}
	ids := someOf(k.pair, recent, 1+k.r.IntN(n))
	if k.one(8) {
		ids = append(ids, k.id())
	}
	return ids
}

// only is one of the organizations, or none.
func (k *jobPlay) only() *uuid.UUID {
	if !k.one(3) {
		return nil
	}
	org := anyOf(k.pair, k.orgs)
	return &org
}

func (k *jobPlay) cancel() {
	c := queue.Cancellation{Now: k.now, IDs: k.known(3), Reason: anyOf(k.pair, k.reasons), Organization: k.only(), Expire: k.one(3)}
	k.jobs(fmt.Sprintf("Cancel %+v", c), func(s store.Store) ([]queue.Job, error) {
		jobs, err := s.Cancel(k.ctx, c)
		return byPlace(jobs), err
	})
}

func (k *jobPlay) retry() {
	r := queue.Retry{Now: k.now, IDs: k.known(1)[:1], By: anyOf(k.pair, []string{"ann", "bob"}), Note: anyOf(k.pair, k.reasons), Organization: k.only()}
	k.jobs(fmt.Sprintf("RetryJobs %+v", r), func(s store.Store) ([]queue.Job, error) { return s.RetryJobs(k.ctx, r) })
}

func (k *jobPlay) scope() (s queue.Scope) {
	if !k.one(4) {
		s.Organization = anyOf(k.pair, k.orgs)
	}
	if !k.one(3) {
		s.Type = anyOf(k.pair, k.types)
	}
	return s
}

func (k *jobPlay) pause() {
	p := queue.Pause{Scope: k.scope(), At: k.now, By: anyOf(k.pair, []string{"ann", "bob"}), Note: anyOf(k.pair, k.reasons)}
	if !k.one(4) {
		p.Until = k.around(k.now, time.Minute)
	}
	_, _ = ask(k.pair, fmt.Sprintf("PauseJobs %+v", p), func(s store.Store) (bool, error) { return true, s.PauseJobs(k.ctx, p) })
}

func (k *jobPlay) resume() {
	scope := k.scope()
	_, _ = ask(k.pair, fmt.Sprintf("ResumeJobs %+v", scope), func(s store.Store) (bool, error) { return s.ResumeJobs(k.ctx, scope) })
	_, _ = ask(k.pair, fmt.Sprint("Pauses at ", k.now), func(s store.Store) ([]queue.Pause, error) { return s.Pauses(k.ctx, k.now) })
}
