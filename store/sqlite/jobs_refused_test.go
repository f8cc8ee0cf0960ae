package sqlite_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// keptJobs are jobs of which the host keeps the first one.
type keptJobs struct {
	*pruned
	process uuid.UUID
	jobs    []queue.Job
	now     time.Time
	// named are those that the last listing names as refused.
	named []queue.Refusal
}

func (k *keptJobs) post(notBefore time.Time) {
	k.Helper()
	k.process = uuid.New()
	_, err := k.s.Heartbeat(k.Context(), queue.Heartbeat{Process: k.process, Now: killEpoch})
	must(k.T, err)
	p := queue.Posting{Organization: uuid.New(), Tenant: uuid.New(), Type: "build", NotBefore: notBefore}
	k.jobs, err = k.s.Enqueue(k.Context(), killEpoch, slices.Repeat([]queue.Posting{p}, 3))
	must(k.T, err)
}

func (k *keptJobs) pending() { k.post(time.Time{}) }

func (k *keptJobs) run() {
	k.Helper()
	k.pending()
	c := queue.Claim{Token: uuid.New(), Process: k.process, Now: killEpoch, Probes: []queue.Probe{{Lane: k.jobs[0].Lane()}}}
	secrets := map[queue.SecretHash]queue.Secret{}
	for range k.jobs {
		secret := queue.NewSecret()
		secrets[secret.Hash()] = secret
		c.Workers, c.Secrets = append(c.Workers, uuid.New()), append(c.Secrets, secret.Hash())
	}
	claimed, err := k.s.Claim(k.Context(), c)
	must(k.T, err)
	k.jobs = claimed.Jobs
	for i := range k.jobs {
		k.jobs[i].Secret = secrets[k.jobs[i].SecretHash]
	}
}

func (k *keptJobs) over() {
	k.run()
	_, err := k.end(queue.OutcomeFailed)
	must(k.T, err)
}

func (k *keptJobs) end(outcome queue.Outcome) (done []uuid.UUID, refused error) {
	var ends []queue.End
	for _, j := range k.jobs {
		ends = append(ends, queue.End{Handout: j.Handout(), Outcome: outcome})
	}
	answers, err := k.s.End(k.Context(), k.now, ends)
	must(k.T, err)
	for i, a := range answers {
		if a.Err == nil {
			done = append(done, k.jobs[i].ID)
		}
		refused = errors.Join(refused, a.Err)
	}
	return done, refused
}

func idsOf(jobs []queue.Job) (ids []uuid.UUID) {
	for _, j := range jobs {
		ids = append(ids, j.ID)
	}
	return ids
}

// keptVerbs are what changes several jobs at once. do returns those that it changed, and what it says of the one that it did not change; nil:
// the log says it.
var keptVerbs = map[string]struct {
	prepare func(k *keptJobs)
	do      func(k *keptJobs) (done []uuid.UUID, refused error)
	// whole: what cannot be done for all is done for none.
	whole bool
}{
	"turning ready": {
		prepare: func(k *keptJobs) { k.post(killEpoch.Add(time.Second)) },
		do: func(k *keptJobs) ([]uuid.UUID, error) {
			listing, err := k.s.Ready(k.Context(), k.now.Add(time.Second), queue.ReadyQuery{CountTo: 10})
			must(k.T, err)
			k.named = listing.Refused
			if len(listing.Lanes) != 1 || listing.Lanes[0].Count != len(k.jobs)-1 && k.now.Equal(killEpoch) || !k.now.Equal(killEpoch) && listing.Lanes[0].Count != 3 {
				k.Errorf("ready: %+v", listing.Lanes)
			}
			if !listing.Next.IsZero() { // or whoever looks would look again at once
				k.Errorf("the next one is said to turn ready at %v", listing.Next)
			}
			if k.now.Equal(killEpoch) {
				return idsOf(k.jobs[1:]), nil
			}
			return idsOf(k.jobs), nil
		},
	},
	"renewal": {prepare: (*keptJobs).run, do: func(k *keptJobs) (done []uuid.UUID, refused error) {
		var renewals []queue.Renewal
		for _, j := range k.jobs {
			renewals = append(renewals, queue.Renewal{Handout: j.Handout(), Process: k.process, Lines: []queue.Line{{At: k.now, Text: "on it"}}})
		}
		answers, err := k.s.Renew(k.Context(), k.now, renewals)
		must(k.T, err)
		for i, a := range answers {
			lines, err := k.s.Lines(k.Context(), k.jobs[i].ID, 0, 10)
			must(k.T, err)
			if a.Err == nil {
				done = append(done, k.jobs[i].ID)
			}
			if (a.Err == nil) != (len(lines) == 1) {
				k.Errorf("the log of the job whose renewal is answered with %v has %d lines", a.Err, len(lines))
			}
			refused = errors.Join(refused, a.Err)
		}
		return done, refused
	}},
	"end":       {prepare: (*keptJobs).run, do: func(k *keptJobs) ([]uuid.UUID, error) { return k.end(queue.OutcomeSucceeded) }},
	"requeuing": {prepare: (*keptJobs).run, do: func(k *keptJobs) ([]uuid.UUID, error) { return k.end(queue.OutcomeRequeued) }},
	"change of worker": {prepare: (*keptJobs).run, do: func(k *keptJobs) (done []uuid.UUID, refused error) {
		var moves []queue.Reassignment
		for _, j := range k.jobs {
			moves = append(moves, queue.Reassignment{Lease: j.Lease(), Process: k.process, Worker: uuid.New()})
		}
		accepted, err := k.s.Reassign(k.Context(), moves)
		must(k.T, err)
		for i, ok := range accepted {
			if ok {
				done = append(done, k.jobs[i].ID)
			} else {
				refused = fmt.Errorf("job %s is kept", k.jobs[i].ID) // there is no more to an answer
			}
		}
		return done, refused
	}},
	"expiry": {prepare: (*keptJobs).pending, do: func(k *keptJobs) ([]uuid.UUID, error) {
		changed, err := k.s.Cancel(k.Context(), queue.Cancellation{Now: k.now, IDs: idsOf(k.jobs), Expire: true})
		must(k.T, err)
		return idsOf(changed), nil
	}},
	"cancellation": {prepare: (*keptJobs).run, whole: true, do: func(k *keptJobs) ([]uuid.UUID, error) {
		changed, err := k.s.Cancel(k.Context(), queue.Cancellation{Now: k.now, IDs: idsOf(k.jobs)})
		return idsOf(changed), err
	}},
	"retry": {prepare: (*keptJobs).over, whole: true, do: func(k *keptJobs) ([]uuid.UUID, error) {
		changed, err := k.s.RetryJobs(k.Context(), queue.Retry{Now: k.now, IDs: idsOf(k.jobs)})
		return idsOf(changed), err
	}},
}

// A job that the host keeps from being changed keeps no other from it, and is named. When the host lets it go, it is done, too.
func TestJobsBesideOneThatTheHostKeeps(t *testing.T) {
	for what, verb := range keptVerbs {
		for how, refusal := range refusals {
			t.Run(what+"/"+how, func(t *testing.T) {
				k := &keptJobs{pruned: newPruned(t), now: killEpoch}
				verb.prepare(k)
				kept := k.jobs[0].ID
				k.exec(`CREATE TRIGGER host BEFORE UPDATE ON dormouse_jobs WHEN old.id = x'` + hex.EncodeToString(kept[:]) + `' BEGIN ` + refusal + `; END`)
				done, refused := verb.do(k)
				said := k.log.String()
				if refused != nil {
					said = refused.Error()
					if errors.Is(refused, lifecycle.ErrUnavailable) || queue.IsAnswer(refused) {
						t.Errorf("refused with %v", refused)
					}
				}
				want := idsOf(k.jobs[1:])
				if verb.whole {
					want = nil
				}
				if !slices.Equal(done, want) {
					t.Errorf("done: %v, want %v", done, want)
				}
				if names := what == "turning ready"; names != (len(k.named) == 1) || names && (k.named[0].Job != kept || k.named[0].Why == "" || k.named[0].Again.IsZero()) {
					t.Errorf("named: %+v", k.named)
				}
				// Which of several it is is not known where the commit is refused.
				if named := strings.Contains(said, kept.String()); (verb.whole || refused == nil) && !named && !strings.Contains(said, "one of them, at the commit: ") {
					t.Errorf("job %s is not named: %q", kept, said)
				}
				if verb.whole {
					k.jobs = k.jobs[:1]
					if _, err := verb.do(k); err == nil || !strings.Contains(err.Error(), kept.String()) {
						t.Errorf("alone: %v", err)
					}
				}
				k.exec(`DROP TRIGGER host`)
				k.now, k.jobs = k.now.Add(time.Minute), k.jobs[:1]
				if done, err := verb.do(k); err != nil || !slices.Equal(done, []uuid.UUID{kept}) {
					t.Errorf("afterwards done: %v, %v", done, err)
				}
				if len(k.named) > 0 {
					t.Errorf("afterwards named: %+v", k.named)
				}
			})
		}
	}
}
