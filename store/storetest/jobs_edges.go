package storetest

import (
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// endForgetsErrors ends a job well whose attempt before went wrong.
func endForgetsErrors(k *jobKit) {
	job := k.running()
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeRequeued, Error: "worker lost"})
	again := k.claim(1, job)[0]
	k.must(again.Error == "worker lost", "a claim leaves what went wrong with the attempt before", "%q", again.Error)
	k.end(queue.End{Handout: k.handout(again), Outcome: queue.OutcomeSucceeded})
	k.must(k.get(job.ID).Error == "", "a job that succeeds has no error of an attempt before", "%q", k.get(job.ID).Error)
	job = k.running()
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeRequeued, Error: "worker lost"})
	again = k.claim(1, job)[0]
	k.end(queue.End{Handout: k.handout(again), Outcome: queue.OutcomeReleased})
	k.must(k.get(job.ID).Error == "worker lost", "a job that is given back keeps what went wrong with the attempt before", "%q", k.get(job.ID).Error)
}

// endWithinAMicrosecond puts a job back for an instant that is not stored apart from now.
func endWithinAMicrosecond(k *jobKit) {
	for _, ready := range []time.Time{k.now, k.now.Add(-time.Hour), k.now.Add(300 * time.Nanosecond)} {
		job := k.running()
		j := k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeRequeued, ReadyAt: ready}).Job
		k.must(j.ReadyAt.Equal(k.now), "a job that is put back for no later instant is ready now", "ready at %v, now is %v", j.ReadyAt, k.now)
		claimed := k.claim(1, job)
		k.must(len(claimed) == 1, "a job that is put back for no later instant can be claimed at once", "%d are", len(claimed))
		k.end(queue.End{Handout: k.handout(claimed[0]), Outcome: queue.OutcomeFailed})
	}
}

// listBefore1970 lists jobs of instants whose number is negative.
func listBefore1970(k *jobKit) {
	k.now = time.Date(1960, 2, 29, 12, 0, 0, 0, time.UTC)
	job := k.enqueue(k.posting())[0]
	for _, from := range []time.Time{{}, k.now} {
		q := queue.JobQuery{Organization: k.org, From: from}
		page := k.list(q)
		counts, err := k.store.CountJobs(k.ctx, q, 10)
		k.noError(err, "CountJobs")
		k.must(len(page.Jobs) == 1 && page.Jobs[0].ID == job.ID && counts.States[queue.Pending] == 1,
			"jobs of any instant are listed and counted", "%+v, %+v", page.Jobs, counts)
	}
}
