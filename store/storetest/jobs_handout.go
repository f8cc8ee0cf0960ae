package storetest

import (
	"reflect"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var jobHandoutTests = []jobTest{
	{"EveryPartCounts", handoutParts},
	{"OfAnotherJob", handoutCrossed},
	{"NewForEachClaim", handoutNew},
	{"NotHandedOut", handoutNone},
	{"VerdictsNeedNone", handoutVerdict},
	{"AnswersDoNotTell", handoutAnswers},
	{"Reassigned", handoutReassigned},
	{"LyingWorkers", handoutLiars},
}

// forgeries are handouts that are wrong in one part; other is somebody else's.
func (k *jobKit) forgeries(job, other queue.Job) map[string]queue.Handout {
	right, forged := k.handout(job), make(map[string]queue.Handout)
	spoil := func(name string, change func(h *queue.Handout)) {
		h := right
		change(&h)
		forged[name] = h
	}
	spoil("no secret", func(h *queue.Handout) { h.Secret = queue.Secret{} })
	spoil("another secret", func(h *queue.Handout) { h.Secret[31] ^= 1 })
	spoil("the secret of another job", func(h *queue.Handout) { h.Secret = k.handout(other).Secret })
	spoil("the hash as secret", func(h *queue.Handout) { h.Secret = queue.Secret(job.SecretHash) })
	spoil("the token as secret", func(h *queue.Handout) { copy(h.Secret[:], job.Token[:]) })
	spoil("another worker", func(h *queue.Handout) { h.Worker = other.Worker })
	spoil("no worker", func(h *queue.Handout) { h.Worker = uuid.Nil })
	spoil("another organization", func(h *queue.Handout) { h.Organization = other.Organization })
	spoil("no organization", func(h *queue.Handout) { h.Organization = uuid.Nil })
	spoil("a lower fence", func(h *queue.Handout) { h.Lease.Fence-- })
	spoil("a higher fence", func(h *queue.Handout) { h.Lease.Fence++ })
	spoil("another job", func(h *queue.Handout) { h.Lease.Job = other.ID })
	spoil("an unknown job", func(h *queue.Handout) { h.Lease.Job = uuid.New() })
	return forged
}

// refused ends the test if a handout has any effect, or any answer but one.
func (k *jobKit) refused(name string, h queue.Handout) {
	k.t.Helper()
	renewed := k.renew(queue.Renewal{
		Handout: h, Process: k.process, Progress: &queue.Progress{Percent: 99}, Lines: []queue.Line{{At: k.now, Text: "forged"}},
	})
	k.must(renewed == queue.Renewed{Err: queue.ErrLeaseLost}, "a renewal with "+name+" is answered as any lost lease is", "%+v", renewed)
	unregistered := k.renew(queue.Renewal{Handout: h, Process: uuid.New()})
	k.must(unregistered == queue.Renewed{Err: queue.ErrLeaseLost}, "so it is from a process that is not registered", "%s: %+v", name, unregistered)
	for _, outcome := range []queue.Outcome{
		queue.OutcomeSucceeded, queue.OutcomeFailed, queue.OutcomeCanceled, queue.OutcomeRequeued, queue.OutcomeReleased,
	} {
		ended := k.end(queue.End{Handout: h, Outcome: outcome, Error: "forged", Result: []byte("forged")})
		k.must(reflect.DeepEqual(ended, queue.Ended{Err: queue.ErrLeaseLost}), "an end with "+name+" is answered as any lost lease is", "%s: %+v", outcome, ended)
	}
}

// foreign is a job of another organization, in hands too.
func (k *jobKit) foreign() queue.Job {
	k.t.Helper()
	return k.running(func(p *queue.Posting) { p.Organization, p.Payload = uuid.New(), []byte("secret") })
}

func handoutParts(k *jobKit) {
	job, other := k.running(), k.foreign()
	for name, forged := range k.forgeries(job, other) {
		k.refused(name, forged)
	}
	k.must(reflect.DeepEqual(k.get(job.ID), job) && len(k.lines(job.ID, 0, 9)) == 0, "what is refused has no effect on the job", "before %+v\n\tafter  %+v", job, k.get(job.ID))
	k.must(reflect.DeepEqual(k.get(other.ID), other), "nor on another one", "before %+v\n\tafter  %+v", other, k.get(other.ID))

	end := queue.End{Handout: k.handout(job), Outcome: queue.OutcomeSucceeded}
	k.must(k.renew(queue.Renewal{Handout: end.Handout, Process: k.process}).Err == nil, "the right handout renews", "it did not")
	k.must(k.end(end).Err == nil, "the right handout ends", "it did not")
	for name, forged := range k.forgeries(job, other) {
		k.refused(name+" after the end", forged)
	}
	k.must(k.end(end).Again, "the right handout repeats its end", "it did not")
}

func handoutCrossed(k *jobKit) {
	mine, theirs := k.running(), k.foreign()
	forged := k.handout(mine)
	forged.Lease = theirs.Lease()
	k.refused("my secret and their lease", forged)
	forged.Organization = theirs.Organization
	k.refused("my secret, their lease and their organization", forged)
	forged.Worker = theirs.Worker
	k.refused("my secret and all the rest of theirs", forged)
	k.must(reflect.DeepEqual(k.get(theirs.ID), theirs), "what is refused has no effect", "%+v", k.get(theirs.ID))
}

func handoutNew(k *jobKit) {
	job := k.running()
	old := k.handout(job)
	k.end(queue.End{Handout: old, Outcome: queue.OutcomeRequeued})
	again := k.claim(1, job)[0]
	k.must(again.SecretHash != job.SecretHash, "each hand-out has the secret of its claim", "both have %x", job.SecretHash)
	old.Lease = again.Lease()
	old.Worker = again.Worker
	k.refused("the secret of the hand-out before", old)
	k.must(k.end(queue.End{Handout: k.handout(again), Outcome: queue.OutcomeSucceeded}).Err == nil, "the present one's counts", "it does not")
}

func handoutNone(k *jobKit) {
	posted := k.enqueue(k.posting())
	k.ready()
	ask := k.ask(1, posted...)
	ask.Secrets = nil
	claimed, err := k.store.Claim(k.ctx, ask)
	k.noError(err, "Claim")
	job := claimed.Jobs[0]
	for name, secret := range map[string]queue.Secret{"none": {}, "one": queue.NewSecret()} {
		h := job.Handout()
		h.Secret = secret
		k.refused(name+" for a job claimed without a secret", h)
	}
	verdict := queue.End{Handout: queue.Handout{Lease: job.Lease()}, Outcome: queue.OutcomeReleased, Process: k.process}
	k.must(k.end(verdict).Err == nil, "a job claimed without a secret is ended by its process", "it is not")
}

func handoutVerdict(k *jobKit) {
	job, other := k.running(), uuid.New()
	k.heartbeat(other)
	verdict := queue.End{Handout: queue.Handout{Lease: job.Lease()}, Outcome: queue.OutcomeFailed, Process: other}
	k.must(lostLease(k.end(verdict).Err), "a verdict counts only of the process that holds the lease", "it did")
	verdict.Process = k.process
	k.must(k.end(verdict).Err == nil, "a verdict needs no secret", "it did not count")
}

func handoutAnswers(k *jobKit) {
	job := k.running(func(p *queue.Posting) { p.Payload, p.Trace = []byte("secret"), "trace" })
	end := queue.End{Handout: k.handout(job), Outcome: queue.OutcomeFailed, Error: "secret", Result: []byte("secret")}
	k.end(end)
	again := k.end(end)
	k.must(again.Again && again.Job.ID == job.ID && again.Job.State == queue.Failed, "a repeated end answers the state", "%+v", again)
	k.must(again.Job.Payload == nil && again.Job.Result == nil && again.Job.Error == "" && again.Job.Trace == "" && again.Job.SecretHash == queue.SecretHash{}, "and nothing that was said about the job", "%+v", again.Job)
	for _, j := range append(k.jobs(queue.Filter{IDs: []uuid.UUID{job.ID}}), again.Job) {
		k.must(j.Secret.IsZero(), "a store has no secret to tell", "%+v", j)
	}
}

func handoutReassigned(k *jobKit) {
	job, bystander, next := k.running(), k.foreign(), uuid.New()
	other := uuid.New()
	k.heartbeat(other)
	move := func(lease queue.Lease, process uuid.UUID) bool {
		accepted, err := k.store.Reassign(k.ctx, []queue.Reassignment{
			{Lease: queue.Lease{Job: uuid.New(), Fence: 1}, Process: k.process, Worker: next},
			{Lease: lease, Process: process, Worker: next},
		})
		k.noError(err, "Reassign")
		k.must(len(accepted) == 2 && !accepted[0], "Reassign answers in order, each for itself", "%v", accepted)
		return accepted[1]
	}
	k.must(!move(job.Lease(), other), "only the process that holds a lease gives its job to another worker", "it was accepted")
	k.must(!move(queue.Lease{Job: job.ID, Fence: job.Fence + 1}, k.process), "no other lease is reassigned", "it was accepted")
	k.must(move(job.Lease(), k.process), "a process gives a job to another of its workers", "it was refused")
	k.refused("the worker before", k.handout(job))
	moved := k.get(job.ID)
	k.must(moved.Worker == next && moved.Process == k.process && moved.SecretHash == job.SecretHash, "the worker changes and nothing else", "%+v", moved)
	k.must(move(job.Lease(), k.process), "a reassignment may be repeated", "it was refused")
	k.must(k.end(queue.End{Handout: k.handout(moved), Outcome: queue.OutcomeSucceeded}).Err == nil, "the new worker's end counts", "it does not")
	k.must(!move(job.Lease(), k.process), "an ended job is not reassigned", "it was accepted")
	k.must(reflect.DeepEqual(k.get(bystander.ID), bystander), "no other job changes", "%+v", k.get(bystander.ID))
}
