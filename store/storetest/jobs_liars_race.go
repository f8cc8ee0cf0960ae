package storetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// conspiracy is what all liars together have ever seen: whatever is not secret of every job that was handed out, and the secrets of
// what was theirs once. It grows while they lie.
type conspiracy struct {
	mu      sync.Mutex
	seen    seen
	secrets []queue.Secret
}

func (c *conspiracy) add(j queue.Job, secrets ...queue.Secret) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen.job(j)
	c.secrets = append(c.secrets, secrets...)
}

// knows is all that was seen, or only the latest of it, which is more likely to be of use.
func (c *conspiracy) knows(latest int) (seen, []queue.Secret) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := func(n, of int) int { return max(0, n-of) }
	s := c.seen
	return seen{
		handouts: s.handouts[last(len(s.handouts), latest):], ids: s.ids[last(len(s.ids), 6*latest):], hashes: s.hashes[last(len(s.hashes), latest):],
	}, c.secrets[last(len(c.secrets), latest):]
}

// liarsRace has honest workers and liars of two organizations take jobs from each other's hands. Liars send anything that any of them
// has ever seen, in the name of anybody, all the time, while jobs are claimed, reported on, put back and claimed again.
type liarsRace struct {
	*jobKit
	conspiracy
	jobs      [2][]queue.Job
	processes []uuid.UUID
}

// raceLiars sees that whatever is sent meanwhile, a job is the worker's that has it: what it says counts, what anybody else says has no
// effect, and no answer to a liar has anything of a job in it.
func raceLiars(k *jobKit) {
	r := &liarsRace{jobKit: k, processes: k.register()}
	for i, org := range []uuid.UUID{k.org, uuid.New()} {
		r.jobs[i] = k.enqueue(k.postings(2*k.racers, func(p *queue.Posting) { p.Organization, p.Payload = org, []byte("secret of "+org.String()) })...)
	}
	k.race(func(i int) error {
		random, worker := rand.New(rand.NewPCG(uint64(i), 3)), uuid.New()
		for range k.o.Rounds {
			do := r.work
			if i%4 > 1 {
				do = r.lie
			}
			if err := do(random, i, worker); err != nil {
				return err
			}
		}
		return nil
	})
}

// claimed takes a job of the racer's organization, if one is free.
func (r *liarsRace) claimed(i int, worker uuid.UUID) (queue.Job, bool, error) {
	ask := r.ask(1, r.jobs[i%2]...)
	ask.Process, ask.Workers[0] = r.processes[i], worker
	got, err := r.store.Claim(r.ctx, ask)
	if err != nil || len(got.Jobs) == 0 {
		return queue.Job{}, false, err
	}
	return got.Jobs[0], true, nil
}

// ended puts a job back, as whoever has it.
func (r *liarsRace) ended(j queue.Job, outcome queue.Outcome) error {
	answers, err := r.store.End(r.ctx, r.now, []queue.End{{Handout: r.handout(j), Outcome: outcome, Error: "honest"}})
	if err == nil && (answers[0].Err != nil || answers[0].Job.State != queue.Pending) {
		err = fmt.Errorf("broken rule: the worker that has a job puts it back: %+v", answers[0])
	}
	return err
}

// work does a piece of an honest worker's work, and sees that nobody else has a hand in it.
func (r *liarsRace) work(random *rand.Rand, i int, worker uuid.UUID) error {
	j, ok, err := r.claimed(i, worker)
	if err != nil || !ok {
		return err
	}
	r.add(j)
	before, err := r.store.Lines(r.ctx, j.ID, 0, 10_000)
	if err != nil {
		return err
	}
	said := queue.Progress{Percent: 50, Message: "honest"}
	for range 2 {
		answers, err := r.store.Renew(r.ctx, r.now, []queue.Renewal{{
			Handout: r.handout(j), Process: r.processes[i], Progress: &said, Lines: []queue.Line{{At: r.now, Text: "honest"}},
		}})
		if err != nil {
			return err
		}
		if answers[0] != (queue.Renewed{}) {
			return fmt.Errorf("broken rule: the worker that has a job reports on it: %+v", answers[0])
		}
	}
	stored, err := r.store.Jobs(r.ctx, queue.Filter{IDs: []uuid.UUID{j.ID}})
	if err != nil {
		return err
	}
	want := j
	want.Progress = said
	want.Secret = queue.Secret{}
	if len(stored) != 1 || stored[0].State != queue.Running || stored[0].Handout() != want.Handout() || stored[0].SecretHash != j.SecretHash || stored[0].Progress != said || !stored[0].CancelAt.IsZero() {
		return fmt.Errorf("broken rule: no lie has an effect on a job of others\n\tbefore %+v\n\tafter  %+v", j, stored)
	}
	after, err := r.store.Lines(r.ctx, j.ID, 0, 10_000)
	if err != nil {
		return err
	}
	for _, line := range after[len(before):] {
		if line.Text != "honest" {
			return fmt.Errorf("broken rule: nobody else writes into a job's log: %q", line.Text)
		}
	}
	if len(after) != len(before)+2 {
		return fmt.Errorf("broken rule: what a worker says is kept: %d lines, then %d", len(before), len(after))
	}
	return r.ended(j, one(random, []queue.Outcome{queue.OutcomeRequeued, queue.OutcomeReleased}))
}

// lie has and puts back a job from time to time, for its secret, and sends what the liars know.
func (r *liarsRace) lie(random *rand.Rand, i int, worker uuid.UUID) error {
	if random.IntN(3) == 0 {
		j, ok, err := r.claimed(i, worker)
		if err != nil {
			return err
		}
		if ok {
			if err := r.ended(j, queue.OutcomeRequeued); err != nil {
				return err
			}
			r.add(j, r.handout(j).Secret)
		}
	}
	if known, _ := r.knows(1); len(known.handouts) == 0 {
		return nil // nothing was seen yet
	}
	known, secrets := r.knows(one(random, []int{2, 8, 1 << 20}))
	l := &liar{organization: r.jobs[i%2][0].Organization, worker: worker, secrets: secrets}
	var renewals []queue.Renewal
	var ends []queue.End
	for range 8 {
		renewals = append(renewals, queue.Renewal{
			Handout: l.lie(random, &known), Process: r.processes[i], Progress: &queue.Progress{Percent: 99, Message: "forged"},
			Lines: []queue.Line{{At: r.now, Text: "forged"}},
		})
		ends = append(ends, queue.End{Handout: l.lie(random, &known), Error: "forged", Outcome: one(random, []queue.Outcome{
			queue.OutcomeSucceeded, queue.OutcomeFailed, queue.OutcomeCanceled, queue.OutcomeRequeued, queue.OutcomeReleased,
		})})
	}
	return r.sent(distinctRenewals(renewals), distinctEnds(ends))
}

// sent sends lies, and wishes in the name of an organization that has no job.
func (r *liarsRace) sent(renewals []queue.Renewal, ends []queue.End) error {
	renewed, err := r.store.Renew(r.ctx, r.now, renewals)
	if err != nil {
		return err
	}
	for i, a := range renewed {
		if a != (queue.Renewed{Err: queue.ErrLeaseLost}) {
			return fmt.Errorf("broken rule: a lie is answered as any lost lease is: %+v to %+v", a, renewals[i])
		}
	}
	ended, err := r.store.End(r.ctx, r.now, ends)
	if err != nil {
		return err
	}
	for i, a := range ended {
		if a.Err == nil && !a.Again || bytes.Contains(a.Job.Payload, []byte("secret")) {
			return fmt.Errorf("broken rule: a lie ends nothing, and is told nothing: %+v to %+v", a, ends[i])
		}
	}
	nobody := uuid.New()
	ids := append(idsOfJobs(r.jobs[0]), idsOfJobs(r.jobs[1])...)
	canceled, err := r.store.Cancel(r.ctx, queue.Cancellation{Now: r.now, IDs: ids, Reason: "forged", Organization: &nobody})
	if err == nil && len(canceled) > 0 {
		err = fmt.Errorf("broken rule: Cancel leaves the jobs of another organization alone: %+v", canceled)
	}
	return err
}
