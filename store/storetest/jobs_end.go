package storetest

import (
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var jobEndTests = []jobTest{
	{"RequeuedFirst", endRequeuedFirst},
	{"Final", endFinal},
	{"Requeued", endRequeued},
	{"Released", endReleased},
	{"Later", endLater},
	{"CanceledInsteadOfPending", endCanceledInstead},
	{"Repeated", endRepeated},
	{"RepeatedAfterNextClaim", endRepeatedTooLate},
	{"RepeatedDifferently", endDifferently},
	{"StaleFence", endStale},
	{"OfProcess", endOfProcess},
	{"StaleBesideLive", endStaleBesideLive},
	{"NeverHandedOut", endNeverHandedOut},
	{"AnswersInOrder", endOrder},
	{"ForgetsErrors", endForgetsErrors},
	{"WithinAMicrosecond", endWithinAMicrosecond},
}

func endFinal(k *jobKit) {
	for _, outcome := range []queue.Outcome{queue.OutcomeSucceeded, queue.OutcomeFailed, queue.OutcomeCanceled} {
		job := k.running(func(p *queue.Posting) { p.Payload, p.Trace = []byte("payload"), "trace" })
		k.renew(queue.Renewal{Handout: k.handout(job), Process: k.process, Progress: &queue.Progress{Percent: 9, Message: "half"}})
		k.pass(time.Second)
		answer := k.end(queue.End{Handout: k.handout(job), Outcome: outcome, Error: "because", Result: []byte{0, 7}})
		j, now := answer.Job, k.get(job.ID)
		k.must(answer.Err == nil && !answer.Again, "an end with the live lease is accepted", "%+v", answer)
		k.must(j.State == outcome.State() && j.EndedAt.Equal(k.now), "a final outcome ends the job now", "%s at %s", j.State, j.EndedAt)
		k.must(now.Error == "because" && string(now.Result) == "\x00\x07", "error and result of an end are kept", "%q %q", now.Error, now.Result)
		k.must(string(now.Payload) == "payload" && now.Trace == "trace" && now.Progress.Message == "half", "an end leaves what was posted and reported", "%+v", now)
		k.must(reflect.DeepEqual(now.Outline(), j), "End returns the outline of the job as it is now", "returned %+v\n\tstored   %+v", j, now)
		k.must(len(k.claim(1, job)) == 0, "an ended job is never handed out again", "it was")
	}
}

func endRequeued(k *jobKit) {
	job := k.running()
	k.pass(time.Second)
	j := k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeRequeued, Error: "worker lost"}).Job
	k.must(j.State == queue.Pending && j.StartedAt.IsZero() && j.EndedAt.IsZero(), "a requeued job is pending again", "%+v", j)
	k.must(j.Attempt == job.Attempt && j.Fence == job.Fence, "requeueing changes neither attempt nor fence", "%+v", j)
	now := k.get(job.ID)
	k.must(now.Error == "worker lost", "a requeued job says what went wrong with the last attempt", "%q", now.Error)
	k.must(reflect.DeepEqual(now.Outline(), j), "End returns the outline of the job as it is now", "returned %+v\n\tstored   %+v", j, now)
	k.must(len(k.jobs(queue.Filter{Process: k.process})) == 0, "a requeued job is held by nobody", "it is")
	k.must(len(k.claim(1, job)) == 1, "a requeued job can be claimed at once", "it was not")
}

func endReleased(k *jobKit) {
	job := k.running()
	j := k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeReleased}).Job
	k.must(j.State == queue.Pending && j.Attempt == job.Attempt-1, "releasing takes back the attempt", "%+v", j)
	k.must(j.Fence == job.Fence, "releasing does not lower the fence", "%d, was %d", j.Fence, job.Fence)
	again := k.claim(1, job)[0]
	k.must(again.Attempt == job.Attempt && again.Fence == job.Fence+1, "a released job is claimed as if for the first time, under a new fence", "%+v", again)
}

func endLater(k *jobKit) {
	job := k.running()
	at := k.now.Add(time.Minute)
	j := k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeRequeued, ReadyAt: at}).Job
	k.must(j.ReadyAt.Equal(at), "a requeued job waits until ReadyAt", "%s, want %s", j.ReadyAt, at)
	k.must(k.ready().Next.Equal(at) && len(k.claim(1, job)) == 0, "a requeued job cannot be claimed before ReadyAt", "it can")
	k.pass(time.Minute)
	k.ready()
	k.must(len(k.claim(1, job)) == 1, "a requeued job can be claimed from ReadyAt on", "it was not")
}

func endCanceledInstead(k *jobKit) {
	for _, outcome := range []queue.Outcome{queue.OutcomeRequeued, queue.OutcomeReleased} {
		job := k.running()
		k.cancel("stop", job)
		end := queue.End{Handout: k.handout(job), Outcome: outcome}
		answer := k.end(end)
		k.must(answer.Job.State == queue.Canceled && !answer.Job.EndedAt.IsZero(), "a job whose cancellation was asked for turns canceled instead of pending", "%s after %s", answer.Job.State, outcome)
		answer = k.end(end)
		k.must(answer.Err == nil && answer.Again, "such an end is accepted again", "%+v", answer)
	}
}

func endRepeated(k *jobKit) {
	for _, outcome := range []queue.Outcome{
		queue.OutcomeSucceeded, queue.OutcomeFailed, queue.OutcomeCanceled, queue.OutcomeRequeued, queue.OutcomeReleased,
	} {
		job := k.running()
		end := queue.End{Handout: k.handout(job), Outcome: outcome, Error: "e", Result: []byte("r")}
		first := k.end(end)
		k.pass(time.Second)
		second := k.end(end)
		k.must(second.Err == nil && second.Again, "an end repeated after a lost answer is accepted again", "%s: %+v", outcome, second)
		k.must(reflect.DeepEqual(second.Job, first.Job), "a repeated end changes nothing and is answered as the first was", "%s: first  %+v\n\tsecond %+v", outcome, first.Job, second.Job)
		k.cancel("", job)
	}
}

func endRepeatedTooLate(k *jobKit) {
	job := k.running()
	end := queue.End{Handout: k.handout(job), Outcome: queue.OutcomeRequeued}
	k.end(end)
	current := k.claim(1, job)[0]
	k.must(lostLease(k.end(end).Err), "an end repeated after the next claim is refused", "it was accepted")
	k.must(reflect.DeepEqual(k.get(job.ID), current), "a refused end has no effect", "it had")
}

func endDifferently(k *jobKit) {
	job := k.running()
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeSucceeded})
	for _, outcome := range []queue.Outcome{queue.OutcomeFailed, queue.OutcomeCanceled, queue.OutcomeRequeued, queue.OutcomeReleased} {
		k.must(lostLease(k.end(queue.End{Handout: k.handout(job), Outcome: outcome}).Err), "an ended job does not end another way", "%s was accepted", outcome)
	}
	k.must(k.get(job.ID).State == queue.Succeeded, "a refused end has no effect", "state %s", k.get(job.ID).State)
}

func endStale(k *jobKit) {
	job := k.running()
	pending := k.enqueue(k.posting(ofType("scan")))[0]
	for name, lease := range map[string]queue.Lease{
		"a lower fence":  {Job: job.ID, Fence: job.Fence - 1},
		"a higher fence": {Job: job.ID, Fence: job.Fence + 1},
		"an unknown job": {Job: uuid.New(), Fence: job.Fence},
	} {
		right := k.handout(job)
		right.Lease = lease
		answer := k.end(queue.End{Handout: right, Outcome: queue.OutcomeFailed})
		k.must(lostLease(answer.Err) && answer.Job.ID == uuid.Nil, "an end with "+name+" is refused", "%+v", answer)
	}
	k.must(reflect.DeepEqual(k.get(job.ID), job), "a refused end has no effect", "it had")
	answer := k.end(queue.End{Handout: k.handout(pending), Outcome: queue.OutcomeSucceeded})
	k.must(lostLease(answer.Err), "a job that was never claimed cannot be completed", "%+v", answer)
}

func endOfProcess(k *jobKit) {
	job := k.running()
	other := uuid.New()
	k.heartbeat(other)
	end := queue.End{Handout: k.handout(job), Outcome: queue.OutcomeRequeued, Process: other}
	k.must(lostLease(k.end(end).Err), "an end that names a process counts only while that process holds the lease", "it was accepted")
	k.renew(queue.Renewal{Handout: k.handout(job), Process: other})
	end.Process = k.process
	k.must(lostLease(k.end(end).Err), "after the lease has passed, the former process's end is refused", "it was accepted")
	end.Process = other
	answer := k.end(end)
	k.must(answer.Err == nil && !answer.Again, "the holder's end is accepted", "%+v", answer)
	k.must(k.end(end).Again, "the holder's end is accepted again", "it was not")
}

func endNeverHandedOut(k *jobKit) {
	secret := func(p *queue.Posting) { p.Payload = []byte("secret") }
	pending, canceled := k.enqueue(k.posting(secret))[0], k.enqueue(k.posting(secret))[0]
	k.cancel("", canceled)
	for _, job := range []queue.Job{pending, canceled} {
		for _, o := range []queue.Outcome{queue.OutcomeReleased, queue.OutcomeRequeued, queue.OutcomeCanceled} {
			answer := k.end(queue.End{Handout: queue.Handout{Lease: queue.Lease{Job: job.ID}}, Outcome: o})
			k.must(lostLease(answer.Err) && answer.Job.ID == uuid.Nil, "there is no lease of a job that was never handed out", "%s of a %s job: %+v", o, k.get(job.ID).State, answer)
		}
	}
}

func endStaleBesideLive(k *jobKit) {
	job := k.running()
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeRequeued})
	again := k.claim(1, job)[0]
	answers, err := k.store.End(k.ctx, k.now, []queue.End{
		{Handout: k.handout(job), Outcome: queue.OutcomeFailed}, {Handout: k.handout(again), Outcome: queue.OutcomeSucceeded},
	})
	k.noError(err, "End")
	k.must(len(answers) == 2 && lostLease(answers[0].Err) && answers[1].Err == nil, "a stale end beside the live one of the same job is refused", "%+v", answers)
	k.must(k.get(job.ID).State == queue.Succeeded, "the live end counts", "state %s", k.get(job.ID).State)
}

func endOrder(k *jobKit) {
	a, b, c := k.running(), k.running(), k.running()
	answers, err := k.store.End(k.ctx, k.now, []queue.End{
		{Handout: k.handout(c), Outcome: queue.OutcomeFailed},
		{Handout: queue.Handout{Lease: queue.Lease{Job: b.ID, Fence: b.Fence + 1}}, Outcome: queue.OutcomeFailed},
		{Handout: k.handout(a), Outcome: queue.OutcomeSucceeded},
	})
	k.noError(err, "End")
	k.must(len(answers) == 3 && answers[0].Job.ID == c.ID && lostLease(answers[1].Err) && answers[2].Job.ID == a.ID, "End answers in the order of the ends, each for itself", "%+v", answers)
	k.must(answers[0].Job.State == queue.Failed && answers[2].Job.State == queue.Succeeded, "ends of one call have their own outcomes", "%s, %s", answers[0].Job.State, answers[2].Job.State)
	k.must(k.get(b.ID).State == queue.Running, "a refused end beside accepted ones has no effect", "state %s", k.get(b.ID).State)
}
