package acquirer

import (
	"context"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Enqueuer stores jobs. A store within a transaction of the host is one.
type Enqueuer interface {
	Enqueue(ctx context.Context, now time.Time, postings []queue.Posting) ([]queue.Job, error)
}

// EnqueueTx stores jobs through a store within a transaction of the host, so that they are there if and only if the
// transaction commits. Announce the jobs that it returns after the commit; without that they are found by the backup, within
// [Config.Backup].
//
// A posting whose id is another job's, of another organization, tenant or type, is refused, as [Acquirer.Enqueue] does; the
// others of the call are stored by then, so roll back.
//
// A job has its place in line from this call on. While the transaction is open, who stores other jobs of its tenant may wait: on
// SQLite for its end, on PostgreSQL for half a second, and then the tenant's turns are counted as if it were not there.
func (a *Acquirer) EnqueueTx(ctx context.Context, tx Enqueuer, postings ...Posting) ([]Job, error) {
	if err := validatePostings(postings); err != nil {
		return nil, err
	}
	jobs, err := tx.Enqueue(ctx, a.now(), postings)
	if err == nil {
		err = ownJobs(postings, jobs)
	}
	if err != nil {
		return nil, err
	}
	a.metrics.enqueued(jobs)
	return jobs, nil
}
