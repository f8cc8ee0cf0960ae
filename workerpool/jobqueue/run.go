package jobqueue

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/workerpool"
)

// ErrAlreadyRun says that [Queue.Run] was called before.
var ErrAlreadyRun = errors.New("jobqueue: Run was called before")

// Run asks for jobs for each machine with room, and starts them there, until ctx ends; it returns nil when everything it
// started has ended. The acquirer and the pool are run by the caller, and must outlive it. Run may be called once.
func (q *Queue) Run(ctx context.Context, acq *acquirer.Acquirer, pool *workerpool.Pool) error {
	q.mu.Lock()
	if q.acq != nil {
		q.mu.Unlock()
		return ErrAlreadyRun
	}
	q.acq, q.pool = acq, pool
	q.mu.Unlock()
	pool.Wake()
	r := &asking{q: q, acq: acq, pool: pool, asked: make(map[workerpool.InstanceID]*ask), ended: make(chan struct{}, 1)}
	changed, leave := pool.Subscribe()
	defer leave()
	for {
		r.look(ctx)
		if !r.wait(ctx, changed) {
			r.group.Wait()
			return nil
		}
	}
}

// asking is one Run: who is asked for.
type asking struct {
	q     *Queue
	acq   *acquirer.Acquirer
	pool  *workerpool.Pool
	group sync.WaitGroup
	ended chan struct{} // room for one: somebody's asking has ended

	mu    sync.Mutex
	asked map[workerpool.InstanceID]*ask
}

// ask is a wait for jobs for one machine.
type ask struct {
	types  []string
	slots  int
	cancel context.CancelFunc
}

// look asks for what the machines have room for now. One whose room has changed is asked for anew.
func (r *asking) look(ctx context.Context) {
	offers := make(map[workerpool.InstanceID]workerpool.Offer)
	for _, o := range r.pool.Offers() {
		offers[o.Worker] = o
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, a := range r.asked {
		o, ok := offers[id]
		if types, slots := r.q.fits(o.Free); !ok || slots != a.slots || !slices.Equal(types, a.types) {
			a.cancel()
		}
	}
	for id, o := range offers {
		if _, asked := r.asked[id]; asked {
			continue // or its end is on its way
		}
		if types, slots := r.q.fits(o.Free); slots > 0 {
			r.ask(ctx, o, types, slots)
		}
	}
}

// fits returns the types of job that fit into a room, and how many may be asked for at once: one, if they need different
// things.
func (q *Queue) fits(room workerpool.Resources) (types []string, slots int) {
	var need workerpool.Resources
	equal := true
	for _, t := range q.cfg.Types {
		n := q.needs(t)
		if !n.Fit(room) {
			continue
		}
		equal = equal && (len(types) == 0 || n == need)
		types, need = append(types, t), n
	}
	switch {
	case len(types) == 0:
		return nil, 0
	case !equal:
		return types, 1
	}
	for slots < acquirer.MaxSlots && need.Fit(room) {
		slots, room = slots+1, room.Minus(need)
	}
	return types, slots
}

// ask waits for jobs for a machine. The caller holds the lock.
func (r *asking) ask(run context.Context, o workerpool.Offer, types []string, slots int) {
	ctx, cancel := context.WithCancel(run)
	r.asked[o.Worker] = &ask{types: types, slots: slots, cancel: cancel}
	request := queue.Request{Organization: r.q.cfg.Organization, Worker: workerOf(o.Worker), Types: types, Tags: r.q.tagsOf(o.Labels)}
	r.group.Go(func() {
		defer cancel()
		jobs, err := r.acq.AcquireJobs(ctx, request, slots)
		for _, j := range jobs {
			r.start(run, o.Worker, j)
		}
		if err != nil && ctx.Err() == nil {
			r.q.cfg.Logger.Warn("no jobs for a machine", "worker_id", o.Worker, "error", err)
		}
		r.mu.Lock()
		delete(r.asked, o.Worker)
		r.mu.Unlock()
		select {
		case r.ended <- struct{}{}:
		default:
		}
	})
}

// start starts a job on the machine that it was acquired for. If the machine cannot take it any more, it goes back.
func (r *asking) start(ctx context.Context, worker workerpool.InstanceID, j acquirer.Job) {
	id := idOf(j.Lease())
	watched, unwatch := r.acq.Watch(ctx, j.Lease())
	r.q.begin(j, unwatch)
	err := r.pool.StartJobOn(worker, workerpool.Job{
		ID: id, Priority: int(j.Priority), Since: j.CreatedAt, Needs: r.q.needs(j.Type), Payload: r.q.cfg.Payload(j), State: workerpool.JobAssigned,
	})
	if err == nil {
		r.group.Go(func() { r.watch(watched, id, j.Lease()) })
		if r.q.cfg.Began != nil {
			if err := r.q.cfg.Began(ctx, j); err != nil {
				r.q.cfg.Logger.Warn("begin of a job not noted", "job_id", j.ID, "error", err)
			}
		}
		return
	}
	r.q.forget(id)
	r.q.cfg.Logger.Info("machine does not take its job; it goes back", "worker_id", worker, "job_id", j.ID, "error", err)
	if _, err := r.acq.End(context.WithoutCancel(ctx), queue.End{Handout: j.Handout(), Outcome: queue.OutcomeReleased}); err != nil {
		r.q.cfg.Logger.Warn("job not given back; it is when its lease is over", "job_id", j.ID, "error", err)
	}
}

// watch ends a job on its machine when somebody asks for its cancellation. That its lease is lost does not end it: a manager
// that was slow for the length of a lease has lost all of its leases, and its machines work on. It goes on like one that was
// restarted, without the handout; and what the store says is over, or somebody else's, the pool ends with its next look.
func (r *asking) watch(ctx context.Context, id workerpool.JobID, lease queue.Lease) {
	<-ctx.Done()
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, queue.ErrLeaseLost):
		r.q.cfg.Logger.Warn("lease of a job on a machine lost; the store is asked", "job_id", lease.Job)
		r.q.forget(id)
		r.pool.Wake()
	case errors.Is(cause, queue.ErrJobCanceled):
		r.q.canceled(id)
		if err := r.pool.KillJob(id, cause.Error()); err != nil && !errors.Is(err, workerpool.ErrUnknownJob) {
			r.q.cfg.Logger.Warn("job not ended on its machine", "job_id", lease.Job, "error", err)
		}
	}
}

// canceled notes that a job was asked to end.
func (q *Queue) canceled(id workerpool.JobID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if j := q.started[id]; j != nil {
		j.canceled = true
	}
}

// wait waits until the machines have changed, and reports whether ctx is alive.
func (r *asking) wait(ctx context.Context, changed <-chan struct{}) bool {
	timer := r.q.clock.NewTimer(lookPause, "jobqueue", "pause")
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	}
	idle := r.q.clock.NewTimer(longestLook, "jobqueue", "look")
	defer idle.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-changed:
	case <-r.ended:
	case <-idle.C:
	}
	return true
}

// longestLook is how long the machines are not looked at if nobody says that they have changed.
const longestLook = 10 * time.Second
