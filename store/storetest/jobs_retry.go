package storetest

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var jobRetryTests = []jobTest{
	{"Ended", retryEnded},
	{"NotOver", retryNotOver},
	{"GoesFirst", retryGoesFirst},
	{"GoesFirstUnclaimed", retryUnclaimed},
	{"UniqueKeyTaken", retryUnique},
	{"History", retryHistory},
	{"HistoryIsBounded", retryBounded},
	{"NotPruned", retryNotPruned},
	{"Texts", retryTexts},
}

func (k *jobKit) retry(by, note string, jobs ...queue.Job) []queue.Job {
	k.t.Helper()
	changed, err := k.store.RetryJobs(k.ctx, queue.Retry{Now: k.now, IDs: idsOfJobs(jobs), By: by, Note: note})
	k.noError(err, "RetryJobs")
	return changed
}

func (k *jobKit) history(j queue.Job) []queue.Attempt {
	k.t.Helper()
	history, err := k.store.Attempts(k.ctx, j.ID)
	k.noError(err, "Attempts")
	return history
}

func retryEnded(k *jobKit) {
	for _, outcome := range []queue.Outcome{queue.OutcomeSucceeded, queue.OutcomeFailed, queue.OutcomeCanceled} {
		job := k.running()
		k.renew(queue.Renewal{Handout: k.handout(job), Process: k.process, Progress: &queue.Progress{Percent: 9}, Lines: []queue.Line{{At: k.now, Text: "kept"}}})
		k.cancel("stop", job)
		ended := k.end(queue.End{Handout: k.handout(job), Outcome: outcome, Error: "why", Result: []byte{1}}).Job
		k.pass(time.Minute)
		changed := k.retry("ann", "once more", job)
		k.must(len(changed) == 1, "a job that is over can be retried", "not after %s", outcome)
		j := changed[0]
		k.must(j.State == queue.Pending && j.Round == 1 && j.Attempt == 0 && j.Fence == ended.Fence && j.Error == "why", "a retried job is pending, in a new round, with its fence and error", "%+v", j)
		k.must(j.EndedAt.IsZero() && j.StartedAt.IsZero() && j.CancelAt.IsZero() && len(j.Result) == 0 && j.Progress == queue.Progress{}, "end, cancellation, result and progress of the round before are gone", "%+v", j)
		k.must(j.ReadyAt.Equal(k.now) && reflect.DeepEqual(k.get(j.ID), j), "RetryJobs returns the job as it is now", "%+v", j)
		late := k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeSucceeded})
		k.must(lostLease(late.Err), "an end of the round before is refused", "%+v", late)
		again := k.claim(1, j)
		k.must(len(again) == 1 && again[0].Attempt == 1 && again[0].Fence == ended.Fence+1, "a retried job can be claimed, with a new fence", "%+v", again)
		k.must(len(k.lines(j.ID, 0, 9)) == 1, "a retried job keeps its log", "%d lines", len(k.lines(j.ID, 0, 9)))
		k.end(queue.End{Handout: k.handout(again[0]), Outcome: queue.OutcomeSucceeded})
	}
}

func retryNotOver(k *jobKit) {
	running, pending := k.running(), k.enqueue(k.posting(ofType("scan")))[0]
	k.must(len(k.retry("", "", running, pending)) == 0, "a job that is not over is not retried", "it was")
	k.must(k.get(running.ID).State == queue.Running && k.get(pending.ID).Round == 0, "a refused retry changes nothing", "it did")
	changed, err := k.store.RetryJobs(k.ctx, queue.Retry{Now: k.now, IDs: []uuid.UUID{uuid.New()}})
	k.must(err == nil && len(changed) == 0, "unknown ids are absent from the answer", "%v, error %v", changed, err)
	changed, err = k.store.RetryJobs(k.ctx, queue.Retry{Now: k.now})
	k.must(err == nil && len(changed) == 0, "empty input is no error", "%v, error %v", changed, err)
}

func retryGoesFirst(k *jobKit) {
	tenant := uuid.New()
	jobs := k.enqueue(k.postings(5, ofTenant(tenant))...)
	first := k.claim(1, jobs...)[0]
	k.end(queue.End{Handout: k.handout(first), Outcome: queue.OutcomeFailed})
	k.retry("", "", first)
	k.must(sameJobs(k.claim(1, jobs...), []queue.Job{first}), "a retried job stands in front", "another went first")
}

func retryUnique(k *jobKit) {
	fail := func() queue.Job {
		job := k.running(withUnique("a"))
		return k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeFailed}).Job
	}
	first, second := fail(), fail()
	third := k.enqueue(k.posting(withUnique("a")))[0]
	k.must(len(k.retry("", "", first)) == 0, "a job whose unique key is taken is not retried", "it was")
	k.cancel("", third)
	other := k.running()
	k.end(queue.End{Handout: k.handout(other), Outcome: queue.OutcomeFailed})
	changed := k.retry("", "", first, second, other)
	k.must(len(changed) == 2, "of two retried jobs of a key one changes, and others are not held up", "%d changed", len(changed))
}

func retryHistory(k *jobKit) {
	job := k.running()
	k.must(len(k.history(job)) == 0, "a job without an ended attempt has no history", "%+v", k.history(job))
	started := k.now
	k.pass(time.Second)
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeRequeued, Error: "first ü\x00"})
	want := []queue.Attempt{{
		Attempt: 1, Outcome: queue.OutcomeRequeued, StartedAt: started, EndedAt: k.now, Error: k.history(job)[0].Error,
		Process: k.process, Worker: job.Worker,
	}}
	k.must(strings.HasPrefix(want[0].Error, "first ü") && reflect.DeepEqual(k.history(job), want), "an attempt that was requeued is in the history", "got  %+v\n\twant %+v", k.history(job), want)
	released := k.claim(1, job)[0]
	k.end(queue.End{Handout: k.handout(released), Outcome: queue.OutcomeReleased, Error: "nobody"})
	k.must(len(k.history(job)) == 1, "what was given back is not in the history", "%+v", k.history(job))
	second := k.claim(1, job)[0]
	k.end(queue.End{Handout: k.handout(second), Outcome: queue.OutcomeFailed, Error: strings.Repeat("x", 2*queue.MaxAttemptError)})
	k.pass(time.Second)
	k.retry("ann", "the disk is fixed", job)
	k.end(queue.End{Handout: k.handout(k.claim(1, job)[0]), Outcome: queue.OutcomeSucceeded})
	got := k.history(job)
	k.must(len(got) == 3 && got[1].Attempt == 2 && len(got[1].Error) <= queue.MaxAttemptError, "the errors of attempts are kept, cut", "%+v", got)
	k.must(reflect.DeepEqual(got[2], queue.Attempt{Round: 1, Outcome: queue.OutcomeRetried, StartedAt: k.now, EndedAt: k.now, Error: "the disk is fixed", By: "ann", Fence: second.Fence}),
		"a retry is in the history, with who, why and the fence; an attempt that succeeded is not", "%+v", got[2:])
	end := k.end(queue.End{Handout: k.handout(second), Outcome: queue.OutcomeFailed})
	k.must(lostLease(end.Err) && len(k.history(job)) == 3, "a refused end adds nothing", "%+v", end)
}

func retryBounded(k *jobKit) {
	job := k.running()
	for i := range queue.MaxHistory + 5 {
		k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeRequeued, Error: fmt.Sprint(i)})
		job = k.claim(1, job)[0]
	}
	got := k.history(job)
	k.must(len(got) == queue.MaxHistory && got[0].Error == "5" && got[len(got)-1].Error == fmt.Sprint(queue.MaxHistory+4), "the history keeps the latest entries", "%d from %q to %q", len(got), got[0].Error, got[len(got)-1].Error)
}

func retryNotPruned(k *jobKit) {
	job := k.running()
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeFailed})
	k.retry("", "", job)
	k.pass(time.Hour)
	n, err := k.store.PruneJobs(k.ctx, k.now, 10)
	k.must(err == nil && n == 0, "a retried job is not pruned", "%d, error %v", n, err)
}

func retryTexts(k *jobKit) {
	job := k.running()
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeSucceeded})
	by, note := strings.Repeat("a", queue.MaxActor+9), strings.Repeat("b", queue.MaxNote+9)+"\x00"
	k.retry(by, note, job)
	want := queue.Retry{By: by, Note: note}.Clean()
	history := k.history(job)
	last := history[len(history)-1]
	k.must(last.By == want.By && last.Error == want.Note, "who retried and why are cut like Retry.Clean does", "%d and %d bytes", len(last.By), len(last.Error))
}

// What was canceled before anybody claimed anything goes first as well when it is retried.
func retryUnclaimed(k *jobKit) {
	tenant := uuid.New()
	jobs := k.enqueue(k.postings(3, ofTenant(tenant))...)
	k.cancel("not yet", jobs[2])
	k.retry("ann", "", jobs[2])
	k.ready()
	got := k.claim(1, jobs...)
	k.must(len(got) == 1 && got[0].ID == jobs[2].ID, "a retried job goes in front of what waits", "%+v", got)
}
