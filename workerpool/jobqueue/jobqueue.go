// Package jobqueue joins the elastic workers of package workerpool with the hand-off of package acquirer: jobs that wait
// make machines come, and the machines run them.
//
// The pool is the registry of machines. For each machine with room this package asks the acquirer for jobs, as one of its
// workers, and starts on it what it gets; so a machine that is drained, held or about to go simply is not asked for. What
// waits in the lanes is shown to the pool as jobs that are expected: it creates machines for them and keeps the ones it has.
//
// A manager that is killed leaves jobs on its machines. The next one finds them there and in the store, and their ends
// count, though nobody has the handouts any more: see [acquirer.Acquirer.Judge]. Until a machine has said what became of
// its jobs nobody may decide that they are lost; therefore every process that shares the store must have [Queue.Lost], or
// [LeftToPool], as its policy for these types of job. A machine that is gone ends its leases at once. A manager that stood
// still for the length of a lease, or had no store for so long, is like one that was restarted: its jobs go on.
//
// Of several managers one acts: the others must not call Run (see package workerpool).
package jobqueue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/workerpool"
)

// Config says which jobs the machines run. Types is required.
type Config struct {
	// Organization is whose jobs they are. Defaults to uuid.Nil.
	Organization uuid.UUID
	// Types are the types of job. No other workers may run jobs of these types in the organization.
	Types []string
	// Tags are those of every machine, beside the labels of its type. As for all workers, an untagged job runs on machines
	// without any. Defaults to none.
	Tags map[string]string
	// Needs is what a job of a type takes of a machine. Defaults to one slot.
	Needs map[string]workerpool.Resources
	// Payload returns the standard input of the command that starts a job. Defaults to the job's payload.
	Payload func(j acquirer.Job) []byte
	// Outcome says what the end of a job's process means. Defaults to success for the exit code 0, and to failure for all
	// others.
	Outcome func(r workerpool.Record) acquirer.Verdict
	// Began is called when a job was started on a machine; it may be called again for the same attempt, or never, if the process
	// dies then. Ending is called before an attempt is ended, and again until it returns nil, so that what depends on the job
	// is written before the queue forgets it. Default to nil.
	Began  func(ctx context.Context, j acquirer.Job) error
	Ending func(ctx context.Context, job uuid.UUID, v acquirer.Verdict) error
	// Expect bounds how many waiting jobs of a lane the pool is told of. Defaults to 1000.
	Expect int

	// Clock defaults to the real one.
	Clock quartz.Clock
	// Logger defaults to [slog.Default].
	Logger *slog.Logger
}

// Queue is a [workerpool.Queue] in front of an acquirer. It is safe for concurrent use.
type Queue struct {
	cfg   Config
	clock quartz.Clock

	mu      sync.Mutex
	acq     *acquirer.Acquirer // nil before Run
	pool    *workerpool.Pool
	started map[workerpool.JobID]*startedJob // by this process, and not ended
}

// startedJob is a job on a machine, whose handout this process has.
type startedJob struct {
	acquirer.Job // as it was handed out, without its payload
	// canceled is set once it was asked to end, and stays. The queue's mutex guards it.
	canceled bool
	// unwatch ends the watch over its lease.
	unwatch func()
}

var _ workerpool.Queue = (*Queue)(nil)

// New returns a queue. The acquirer and the pool that it joins are made with it (its policy for lost jobs, the queue itself)
// and given to [Queue.Run].
func New(cfg Config) (*Queue, error) {
	if _, err := queue.NewDomain(cfg.Organization, cfg.Types, nil); err != nil {
		return nil, invalid.As("Config.Types", err)
	}
	if _, err := queue.NewTagSet(cfg.Tags); err != nil {
		return nil, invalid.As("Config.Tags", err)
	}
	if err := cmp.Or(invalid.Count("Config.Expect", cfg.Expect), validNeeds(cfg.Needs)); err != nil {
		return nil, err
	}
	cfg.Expect = cmp.Or(cfg.Expect, 1000)
	if cfg.Payload == nil {
		cfg.Payload = func(j acquirer.Job) []byte { return j.Payload }
	}
	if cfg.Outcome == nil {
		cfg.Outcome = outcome
	}
	if cfg.Clock == nil {
		cfg.Clock = quartz.NewReal()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Queue{cfg: cfg, clock: cfg.Clock, started: make(map[workerpool.JobID]*startedJob)}, nil
}

// validNeeds refuses what no machine could be asked for.
func validNeeds(needs map[string]workerpool.Resources) error {
	for _, jobType := range slices.Sorted(maps.Keys(needs)) {
		j := workerpool.Job{ID: "any", Needs: needs[jobType]}
		var refused *invalid.Error
		if err := j.Validate(); errors.As(err, &refused) {
			return invalid.As(fmt.Sprintf("Config.Needs[%q]%s", jobType, strings.TrimPrefix(refused.Field, "Job.Needs")), err)
		}
	}
	return nil
}

func outcome(r workerpool.Record) acquirer.Verdict {
	if r.ExitCode == 0 {
		return acquirer.Verdict{Outcome: queue.OutcomeSucceeded}
	}
	text := "exit code " + strconv.Itoa(r.ExitCode)
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return acquirer.Verdict{Outcome: queue.OutcomeFailed, Error: text}
}

var (
	errNotRunning = errors.New("jobqueue: Run was not called yet")
	// errNotOurs refuses a claim of what this process has not acquired.
	errNotOurs = errors.New("jobqueue: the job was not handed to this process")
)

// joined returns what Run was called with.
func (q *Queue) joined() (*acquirer.Acquirer, *workerpool.Pool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.acq == nil {
		return nil, nil, errNotRunning
	}
	return q.acq, q.pool, nil
}

// idOf is how the pool knows an attempt at a job: another attempt is another one to it.
func idOf(l queue.Lease) workerpool.JobID {
	return workerpool.JobID(l.Job.String() + "." + strconv.FormatInt(l.Fence, 10))
}

// leaseOf is the lease of an id.
func leaseOf(id workerpool.JobID) (l queue.Lease, err error) {
	job, fence, _ := strings.Cut(string(id), ".")
	if l.Job, err = uuid.Parse(job); err == nil {
		l.Fence, err = strconv.ParseInt(fence, 10, 64)
	}
	if err != nil {
		err = fmt.Errorf("job %q is none of the hand-off: %w", id, err)
	}
	return l, err
}

// workerOf names a machine to the acquirer.
func workerOf(id workerpool.InstanceID) uuid.UUID {
	return uuid.NewSHA1(uuid.Nil, []byte("dormouse machine\x00"+string(id)))
}

func (q *Queue) needs(jobType string) workerpool.Resources {
	n := q.cfg.Needs[jobType]
	n.Slots = max(n.Slots, 1)
	return n
}

func (q *Queue) ours(j *acquirer.Job) bool {
	for _, t := range q.cfg.Types {
		if j.Type == t {
			return j.Organization == q.cfg.Organization
		}
	}
	return false
}

// Jobs implements [workerpool.Queue]: what this process has started, what an earlier manager has left running, and as many
// expected jobs as wait.
func (q *Queue) Jobs(ctx context.Context) ([]workerpool.Job, error) {
	acq, _, err := q.joined()
	if err != nil {
		return nil, err
	}
	// Started ones are looked up before and after the question: what is handed out or ends in between is not in the answer.
	running, err := acq.RunningJobs(ctx, func(j acquirer.Job) bool { return q.ours(&j) })
	if err != nil {
		return nil, err
	}
	list := q.known(running, acq.Process())
	demand, err := acq.Demand(ctx, q.cfg.Organization)
	if err != nil {
		return nil, err
	}
	for _, l := range demand.Lanes {
		list = append(list, q.expected(l)...)
	}
	return list, nil
}

// known are the running jobs as the pool is to see them. Of those that our process holds only the ones that were started:
// the others are on their way, and nobody else's.
func (q *Queue) known(running []acquirer.Job, self uuid.UUID) []workerpool.Job {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := make([]workerpool.Job, 0, len(running)+len(q.started))
	shown := make(map[workerpool.JobID]bool, len(running))
	for _, j := range running {
		id := idOf(j.Lease())
		mine := q.started[id]
		if j.Process == self && mine == nil {
			continue
		}
		canceled := !j.CancelAt.IsZero()
		if mine != nil { // it may have been canceled since the question
			mine.canceled = mine.canceled || canceled
			canceled = mine.canceled
		}
		shown[id] = true
		list = append(list, q.assigned(j, canceled))
	}
	for id, j := range q.started { // handed out after the question, or held by nobody whom the store names
		if !shown[id] {
			list = append(list, q.assigned(j.Job, j.canceled))
		}
	}
	return list
}

func (q *Queue) assigned(j acquirer.Job, canceled bool) workerpool.Job {
	job := workerpool.Job{ID: idOf(j.Lease()), Priority: int(j.Priority), Since: j.CreatedAt, Needs: q.needs(j.Type), State: workerpool.JobAssigned}
	if canceled {
		job.State = workerpool.JobCanceled
	}
	return job
}

// expected are the jobs of a lane that no machine has yet.
func (q *Queue) expected(l acquirer.LaneDemand) []workerpool.Job {
	if !q.ours(&acquirer.Job{Type: l.Lane.Type, Organization: l.Lane.Organization}) {
		return nil
	}
	requires := l.Lane.Tags.Map()
	for key, value := range requires {
		if q.cfg.Tags[key] == value || key == queue.TagScope && value == queue.ScopeOrganization || key == queue.TagOwner && value == "" {
			delete(requires, key)
		}
	}
	name := uuid.NewSHA1(uuid.Nil, []byte(l.Lane.Type+"\x00"+l.Lane.Tags.String()+"\x00"+strconv.Itoa(int(l.Lane.Priority)))).String()[:13]
	list := make([]workerpool.Job, min(l.Ready, q.cfg.Expect))
	for i := range list {
		list[i] = workerpool.Job{
			ID: workerpool.JobID("lane-" + name + "-" + strconv.Itoa(i)), Priority: int(l.Lane.Priority), Since: l.Oldest,
			Needs: q.needs(l.Lane.Type), Requires: requires, Plain: l.Lane.Tags.Untagged(), State: workerpool.JobExpected,
		}
	}
	return list
}

// Record implements [workerpool.Queue].
func (q *Queue) Record(ctx context.Context, r workerpool.Record) error {
	acq, _, err := q.joined()
	if err != nil {
		return err
	}
	lease, err := leaseOf(r.Job)
	if err != nil {
		return err
	}
	q.mu.Lock()
	job := q.started[r.Job]
	q.mu.Unlock()
	if r.Kind != workerpool.Claimed && r.Worker != "" {
		had, err := q.had(ctx, acq, job, lease, r.Worker)
		if err != nil {
			return err
		}
		if !had {
			q.cfg.Logger.Debug("record of a job that its machine was not handed", "worker_id", r.Worker, "job_id", r.Job)
			return nil
		}
	}
	switch r.Kind {
	case workerpool.Claimed:
		if job == nil {
			return errNotOurs
		}
		return nil
	case workerpool.Lost:
		err = acq.Lost(ctx, cmp.Or(r.Reason, "its machine is gone"), lease)
	case workerpool.Ended:
		err = q.end(ctx, acq, job, lease, q.verdict(job, r))
	case workerpool.NotStarted:
		err = q.end(ctx, acq, job, lease, acquirer.Verdict{Outcome: queue.OutcomeRequeued, Error: cmp.Or(r.Reason, "it did not start on its machine")})
	case workerpool.Released:
		// Of another process it is for the policy for lost jobs to say, when that process is lost: it may be alive.
		if job != nil {
			err = q.end(ctx, acq, job, lease, acquirer.Verdict{Outcome: queue.OutcomeRequeued, Error: r.Reason})
		}
	}
	if err == nil || errors.Is(err, queue.ErrLeaseLost) { // somebody else has ended it: nothing is left to say
		q.forget(r.Job)
		return nil
	}
	return err
}

// had reports whether a job was handed to a machine. What one says of jobs that others have, of whatever organization, is not believed:
// it may be the job's own process that says it. Job is nil if this process has not started it.
func (q *Queue) had(ctx context.Context, acq *acquirer.Acquirer, job *startedJob, lease queue.Lease, machine workerpool.InstanceID) (bool, error) {
	if job != nil {
		return job.Worker == workerOf(machine), nil
	}
	stored, err := acq.Within(q.cfg.Organization).Job(ctx, lease.Job)
	switch {
	case errors.Is(err, queue.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	return q.ours(&stored) && stored.Worker == workerOf(machine), nil
}

// verdict is what the end of a job's process means; what was asked to end is canceled. Job is nil if another process had it
// started.
func (q *Queue) verdict(job *startedJob, r workerpool.Record) acquirer.Verdict {
	v := q.cfg.Outcome(r)
	q.mu.Lock()
	defer q.mu.Unlock()
	if job != nil && job.canceled && v.Outcome == queue.OutcomeFailed {
		v.Outcome = queue.OutcomeCanceled
	}
	return v
}

// end ends an attempt: with the handout if this process has it, else by our word. The word counts also where the handout does
// not any more, because the process was slow for the length of a lease: it names the attempt, and nobody else may decide.
func (q *Queue) end(ctx context.Context, acq *acquirer.Acquirer, job *startedJob, lease queue.Lease, v acquirer.Verdict) error {
	if q.cfg.Ending != nil {
		if err := q.cfg.Ending(ctx, lease.Job, v); err != nil {
			return err
		}
	}
	if job != nil {
		_, err := acq.End(ctx, queue.End{Handout: job.Handout(), Outcome: v.Outcome, Error: v.Error, Delay: v.Delay})
		if !errors.Is(err, queue.ErrLeaseLost) {
			return err
		}
	}
	return acq.Judge(ctx, lease, v)
}

// begin notes that this process starts a job.
func (q *Queue) begin(j acquirer.Job, unwatch func()) {
	j.Payload = nil
	q.mu.Lock()
	defer q.mu.Unlock()
	q.started[idOf(j.Lease())] = &startedJob{Job: j, canceled: !j.CancelAt.IsZero(), unwatch: unwatch}
}

func (q *Queue) forget(id workerpool.JobID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if j := q.started[id]; j != nil {
		j.unwatch()
		delete(q.started, id)
	}
}

// Lost returns the policy for jobs of these types whose worker's process was lost: as long as the pool has a job on a
// machine, or does not know yet, nothing is decided and it is asked again; after that the policy given decides.
func (q *Queue) Lost(then acquirer.LostPolicy) acquirer.LostPolicy {
	return func(ctx context.Context, job acquirer.Job) (acquirer.Verdict, error) {
		_, pool, err := q.joined()
		if err != nil {
			return acquirer.Verdict{}, err
		}
		if worker, ok := pool.WorkerOf(idOf(job.Lease())); ok {
			return acquirer.Verdict{}, fmt.Errorf("jobqueue: it is on machine %s", worker)
		}
		if !pool.Recovered() {
			return acquirer.Verdict{}, errors.New("jobqueue: not all machines have answered yet")
		}
		return then(ctx, job)
	}
}

// LeftToPool is the policy of processes that share the store and do not run the pool: they decide nothing.
func LeftToPool() acquirer.LostPolicy {
	return func(context.Context, acquirer.Job) (acquirer.Verdict, error) {
		return acquirer.Verdict{}, errors.New("jobqueue: left to the process that runs the pool of machines")
	}
}

// tagsOf are the tags of a machine as a worker.
func (q *Queue) tagsOf(labels map[string]string) map[string]string {
	tags := maps.Clone(q.cfg.Tags)
	if tags == nil {
		tags = make(map[string]string, len(labels))
	}
	maps.Copy(tags, labels)
	return tags
}

// lookPause is the least time between two looks at the machines: a pool changes all the time.
const lookPause = 20 * time.Millisecond
