package storetest

import (
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// inspectNoLines asks for no lines of a log that has some.
func inspectNoLines(k *jobKit) {
	job := k.running()
	k.say(job, 0, "a", "b")
	lines := k.lines(job.ID, 0, 0)
	k.must(len(lines) == 0, "no lines are no lines", "%+v", lines)
}

// pruneNothing prunes no jobs of some that are old enough.
func pruneNothing(k *jobKit) {
	job := k.running()
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeFailed})
	n, err := k.store.PruneJobs(k.ctx, k.now.Add(time.Hour), 0)
	k.noError(err, "PruneJobs")
	k.must(n == 0 && len(k.jobs(queue.Filter{IDs: idsOfJobs([]queue.Job{job})})) == 1, "no jobs are no jobs", "%d are pruned", n)
}
