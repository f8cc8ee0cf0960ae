package storetest

import (
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var jobCancelTests = []jobTest{
	{"Pending", cancelPending},
	{"Delayed", cancelDelayed},
	{"Running", cancelRunning},
	{"Final", cancelFinal},
	{"Expire", cancelExpire},
	{"Unknown", cancelUnknown},
	{"OfAnotherOrganization", cancelForeign},
}

func cancelPending(k *jobKit) {
	job := k.enqueue(k.posting())[0]
	k.pass(time.Second)
	changed := k.cancel("not wanted", job)
	k.must(len(changed) == 1 && changed[0].State == queue.Canceled, "a pending job turns canceled at once", "%+v", changed)
	j := changed[0]
	k.must(j.EndedAt.Equal(k.now) && j.CancelAt.Equal(k.now) && j.Error == "not wanted", "a canceled job says when and why", "%+v", j)
	k.must(reflect.DeepEqual(k.get(job.ID), j), "Cancel returns the job as it is now", "%+v", j)
	k.must(len(k.cancel("again", job)) == 0, "Cancel returns the jobs that changed", "a canceled job changed")
}

func cancelDelayed(k *jobKit) {
	job := k.enqueue(k.posting(notBefore(k.now.Add(time.Hour))))[0]
	k.must(len(k.cancel("", job)) == 1, "a pending job that waits for its time can be canceled", "it did not change")
	k.must(k.ready().Next.IsZero(), "a canceled job has no time to wait for", "%s", k.ready().Next)
	k.pass(time.Hour)
	k.must(len(k.ready().Lanes) == 0, "a canceled job does not turn ready", "it did")
}

func cancelRunning(k *jobKit) {
	job := k.running()
	k.pass(time.Second)
	asked := k.now
	changed := k.cancel("stop", job)
	k.must(len(changed) == 1 && changed[0].State == queue.Running && changed[0].CancelAt.Equal(asked), "a running job only gets its CancelAt set", "%+v", changed)
	k.pass(time.Second)
	k.must(len(k.cancel("stop", job)) == 0 && k.get(job.ID).CancelAt.Equal(asked), "a second cancellation of a running job changes nothing", "%s", k.get(job.ID).CancelAt)
	answer := k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeSucceeded})
	k.must(answer.Job.State == queue.Succeeded, "a running job that ends before it learns of its cancellation has ended as it ended", "%s", answer.Job.State)
}

func cancelFinal(k *jobKit) {
	job := k.running()
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeSucceeded})
	ended := k.get(job.ID)
	k.must(len(k.cancel("late", job)) == 0 && reflect.DeepEqual(k.get(job.ID), ended), "final jobs stay as they are", "%+v", k.get(job.ID))
}

func cancelExpire(k *jobKit) {
	running := k.running()
	pending := k.enqueue(k.posting())[0]
	changed, err := k.store.Cancel(k.ctx, queue.Cancellation{
		Now: k.now, IDs: []uuid.UUID{running.ID, pending.ID}, Reason: "nobody can run it", Expire: true,
	})
	k.noError(err, "Cancel")
	k.must(sameJobs(changed, []queue.Job{pending}), "expiry changes pending jobs only", "%d changed", len(changed))
	k.must(changed[0].State == queue.Failed && changed[0].Error == "nobody can run it" && changed[0].EndedAt.Equal(k.now), "an expired job fails", "%+v", changed[0])
	k.must(k.get(running.ID).CancelAt.IsZero(), "expiry leaves running jobs alone", "CancelAt is set")
}

func cancelForeign(k *jobKit) {
	mine, theirs := k.enqueue(k.posting())[0], k.foreign()
	waiting := k.enqueue(k.posting(func(p *queue.Posting) { p.Organization = theirs.Organization }))[0]
	for _, expire := range []bool{false, true} {
		changed, err := k.store.Cancel(k.ctx, queue.Cancellation{
			Now: k.now, IDs: []uuid.UUID{theirs.ID, waiting.ID}, Reason: "forged", Organization: &k.org, Expire: expire,
		})
		k.noError(err, "Cancel")
		k.must(len(changed) == 0, "jobs of another organization are not there for whoever asks on behalf of one", "%+v", changed)
	}
	k.must(reflect.DeepEqual(k.get(theirs.ID), theirs) && reflect.DeepEqual(k.get(waiting.ID), waiting), "and stay as they are", "%+v", k.get(theirs.ID))
	changed, err := k.store.Cancel(k.ctx, queue.Cancellation{Now: k.now, IDs: []uuid.UUID{theirs.ID, mine.ID}, Organization: &k.org})
	k.noError(err, "Cancel")
	k.must(len(changed) == 1 && changed[0].ID == mine.ID, "its own are canceled beside them", "%+v", changed)
}

func cancelUnknown(k *jobKit) {
	changed, err := k.store.Cancel(k.ctx, queue.Cancellation{Now: k.now, IDs: []uuid.UUID{uuid.New()}})
	k.must(err == nil && len(changed) == 0, "unknown ids are absent from the answer", "%+v, error %v", changed, err)
	changed, err = k.store.Cancel(k.ctx, queue.Cancellation{Now: k.now})
	k.must(err == nil && len(changed) == 0, "empty input is no error", "%+v, error %v", changed, err)
}
