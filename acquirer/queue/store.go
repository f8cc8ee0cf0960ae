package queue

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Store is what the acquirer needs of a database. A host with its own tables implements it and runs
// storetest.Jobs on the result.
//
// These hold for every method:
//
//   - Each call is atomic: all of its effects are seen together or not at all, and two calls at the same time
//     have the effect of one after the other. Read committed is enough, with the guards named in the contracts
//     in the statement's own condition.
//   - An error means that the outcome is unknown, unless it is a sentinel of this package. Every call may
//     be repeated after an error; the contracts say why that does no harm.
//   - Times come from the caller, already UTC with whole microseconds; a store reads no clock. No rule
//     compares times of two machines: whether a process lives is judged by its count of heartbeats.
//   - Values are copied on the way in and on the way out.
//   - Empty input is no error and has no effect. Unknown ids are absent from the answer. No id and no lease
//     occurs twice in one call; two leases of one job may.
type Store interface {
	Queue
	Leases
	Registry
	Inspector
	Operations
}

// Queue holds the verbs of claiming.
type Queue interface {
	// Enqueue stores one pending job for each posting, made by [Posting.Job] and numbered by [FairOrder] with
	// the tenant's last number and the number claimed last, both of the posting's organization and priority.
	// It returns the jobs as stored, in the order of the postings. A posting whose ID is stored already, or whose
	// [Posting.Unique] a job of its organization and type has that is pending or running, changes nothing, and the job that
	// is there is returned as a duplicate. If one posting is invalid, none is stored.
	//
	// The number claimed last may lag behind claims that are just running; so may the one that End uses.
	Enqueue(ctx context.Context, now time.Time, postings []Posting) ([]Job, error)

	// Ready lists the lanes that hold ready jobs, in no particular order. Jobs whose ReadyAt has come turn
	// ready first, in the same call, and stand at the number claimed last if their own is below it; Next says when the next
	// one will. A job that the database refuses to write keeps no other from turning ready, and is named in the listing. Lanes that are paused are left out (see [Pause]), and
	// Next is not after the end of a pause that concerns an organization asked for. Its cost must grow with the number of
	// such lanes, not with the number of jobs: in SQL a skip through the ready index. It must not grow with the delayed jobs
	// of organizations that are not asked for.
	Ready(ctx context.Context, now time.Time, q ReadyQuery) (Listing, error)

	// Claim takes up to len(c.Workers) ready jobs from the lanes of c.Probes, those first that are first by
	// [Job.Before] (a lane's priority counted with its probe's boost), and gives the i-th to the i-th worker:
	// the job turns running, with the claim's process, token and time of start, the worker's secret, one attempt more, a
	// fencing number one higher and no progress. It returns them in that order.
	//
	// A job is claimed only if it is ready, its lane is not paused, nobody asked for its cancellation, and no limit of
	// c.Limits would be exceeded by the job in addition to all that run; the last also when claims run at the same time. Ready is what was stored without a time to wait for, and what a
	// [Queue.Ready] has turned ready since: no claim compares a job's times with its own clock, which may be behind the
	// poster's. So what is listed can be claimed. A job that another claim is just taking may be passed over.
	//
	// All probes are lanes of one organization; no lane is named twice.
	// A bound of a probe (From) is a promise of the caller that nothing ready lies below it; a store may use
	// it to skip dead index entries, or ignore it.
	//
	// Fewer jobs than workers means that the probed lanes held no other claimable job, but for such passed
	// over, and for jobs that the database refuses to start, as a constraint or a trigger of the host has it do: they stay where they are,
	// stand in front of no other, and are named in the answer. [ErrProcessLost] if the process is not registered or was declared lost.
	//
	// In SQL: one statement, one index probe for each lane, merged and limited, locked with skip locked. With limits the cost
	// may grow with the number of tenants that wait in the lanes, but not with the number of their jobs.
	Claim(ctx context.Context, c Claim) (Claimed, error)
}

// ReadyQuery selects lanes.
type ReadyQuery struct {
	// Organizations to list; empty means all.
	Organizations []uuid.UUID
	// CountTo bounds the counting: a lane with more jobs reports this number. At least 1.
	CountTo int
	// Whole: all that is ready is listed. Otherwise a store may begin where its earlier answers have found the front of a lane,
	// and so miss what was numbered long before it was committed, such as a posting in a host's long transaction.
	Whole bool
}

// Listing is the answer of [Queue.Ready].
type Listing struct {
	Lanes []ReadyLane
	// Next is the earliest ReadyAt in the future among the organizations asked for; zero if there is none.
	Next time.Time
	// Unreadable is the number of ready lanes that were left out because their tags cannot be read: a later version's.
	Unreadable int
	// Refused are jobs that were to turn ready and were refused.
	Refused []Refusal
}

// Refusal is a job that the database refused to write, as a constraint or a trigger of the host has it do. A call may leave out those
// that it has not tried, because they were refused before, and some where there are many.
type Refusal struct {
	Job uuid.UUID
	// Why is what the database said, for people.
	Why string
	// Again is when it is tried again at the earliest; zero: by the next such call.
	Again time.Time
}

// ReadyLane says how many ready jobs a lane holds.
type ReadyLane struct {
	Lane Lane
	// Count is at least 1, and counted up to the limit of the query.
	Count int
	// From is the lowest order number of them.
	From int64
	// Oldest is when the first of them in line was created.
	Oldest time.Time
}

// Claim asks for jobs.
type Claim struct {
	// Token names the claim, so that its jobs can be found if the answer is lost. Never used twice.
	Token   uuid.UUID
	Process uuid.UUID
	Now     time.Time
	Probes  []Probe
	// Workers, one for each job wanted, in the order in which they are to be served.
	Workers []uuid.UUID
	// Secrets are the hashes of what is handed out with the jobs, one for each worker. A job claimed without one is ended by
	// its process only.
	Secrets []SecretHash
	Limits  Limits
}

// Probe is a lane to claim from.
type Probe struct {
	Lane Lane
	// From: the lane holds nothing ready below this order number.
	From int64
	// Boost is added to the lane's priority when the lanes of a claim are merged: ageing.
	Boost int16
}

// Claimed is the answer of [Queue.Claim].
type Claimed struct {
	Jobs []Job
	// Limited: at least one ready job was passed over because of a limit.
	Limited bool
	// Refused are jobs that were to start and were refused.
	Refused []Refusal
}

// Leases holds the verbs of a job's life after the claim.
type Leases interface {
	// Renew is a sign of life for running jobs: the lease passes to the renewing process, the progress is replaced if given, the
	// lines are appended and numbered. It answers in the order of the renewals. A renewal whose handout is not that of the
	// running claim, in any of its parts, has no effect at all and the answer's Err is [ErrLeaseLost]: lost, foreign and unknown
	// are one answer. If the handout is right and the renewing process is not registered or was declared lost, the renewal has no
	// effect either and the answer's Err is [ErrProcessLost]: the worker has lost nothing. Repeating a renewal may append its
	// lines twice.
	//
	// Every other Err of an answer is that of a call that failed, and concerns this renewal alone: the row of its job is held by
	// somebody else, or the database refuses to write it, which shall keep no other from being written.
	//
	// A job's log takes what [AdmitLines] admits, over all its attempts.
	Renew(ctx context.Context, now time.Time, renewals []Renewal) ([]Renewed, error)

	// End ends attempts. It answers in the order of the ends. An attempt that was requeued, failed or canceled is added to
	// the job's history (see [Operations]).
	//
	// An end is accepted if the job is running and, when the end names a process, its fencing number is the lease's and it is
	// held by that process; when the end names none, its handout is that of the running claim, in all of its parts. See
	// [End.Accepts]. Succeeded, failed and canceled are final; the end's Error and
	// Result are kept. Requeued and released make the job pending again, from ReadyAt on, at the order number
	// claimed last at its priority, which is in front of what waits; released also takes back the attempt.
	// But a job whose cancellation was asked for turns canceled instead of pending.
	//
	// A job that was never handed out has no lease: a fence below 1 is none.
	//
	// An end repeated after it took effect is accepted again: the lease or handout is still that of the last claim, and the
	// state the one it led to. Everything else is [ErrLeaseLost] in the answer's Err and has no effect. But an Err that is no answer ([IsAnswer]) says that this end alone failed, as one of Renew does.
	End(ctx context.Context, now time.Time, ends []End) ([]Ended, error)

	// Reassign names another worker for running jobs, which from then on is the only one whose renewals and ends are accepted;
	// the secret stays. It reports in the order of the reassignments which were accepted: those whose process holds the lease. One
	// is refused as well if somebody else holds the row of its job, or the database refuses to write it.
	Reassign(ctx context.Context, moves []Reassignment) (accepted []bool, err error)

	// Cancel asks for jobs to be canceled. Pending ones turn canceled at once (failed, if c.Expire), running
	// ones only get their CancelAt set if it was not (left alone, if c.Expire), final ones stay. The reason
	// becomes the error of a pending job. It returns the jobs that changed. With c.Expire it passes over a job whose row
	// somebody else holds, or that the database refuses to write; else it changes all of them or fails.
	Cancel(ctx context.Context, c Cancellation) ([]Job, error)
}

// Renewal is a sign of life for one job.
type Renewal struct {
	Handout
	Process uuid.UUID
	// Progress replaces the stored one; nil keeps it.
	Progress *Progress
	// Lines are appended to the job's log. Their Seq is ignored.
	Lines []Line
	// MaxLog bounds the job's log, as [AdmitLines] counts it; 0 means no bound.
	MaxLog int64
}

// Renewed is the answer to one renewal.
type Renewed struct {
	// Canceled: somebody asked for the job to be canceled.
	Canceled bool
	// Err is nil, [ErrLeaseLost], [ErrProcessLost], or why the store could not renew this one alone: it is to be renewed again.
	Err error
}

// Outcome is how an attempt ended.
type Outcome string

// The outcomes. Three are final; a requeued job is tried again, a released one was never really handed out.
const (
	OutcomeSucceeded Outcome = "succeeded"
	OutcomeFailed    Outcome = "failed"
	OutcomeCanceled  Outcome = "canceled"
	OutcomeRequeued  Outcome = "requeued"
	OutcomeReleased  Outcome = "released"
)

// State is where the outcome leaves a job, cancellation apart.
func (o Outcome) State() State {
	switch o {
	case OutcomeSucceeded:
		return Succeeded
	case OutcomeFailed:
		return Failed
	case OutcomeCanceled:
		return Canceled
	}
	return Pending
}

// End ends one attempt.
type End struct {
	// Handout is the worker's right to end the attempt. Of a verdict only the lease counts.
	Handout
	Outcome Outcome
	// Process, when set, makes the end a verdict of the control plane: it counts only while this process holds the lease,
	// and needs no secret. No worker may set it; it is no part of the JSON form.
	Process uuid.UUID `json:"-"`
	Error   string
	Result  []byte
	// ReadyAt is when a requeued or released job may be claimed again. Defaults to at once.
	ReadyAt time.Time
	// Delay counts from when the acquirer gets the end, and wins over ReadyAt: for workers whose clock is not
	// ours. Stores never see it.
	Delay time.Duration
}

// Ended is the answer to one end.
type Ended struct {
	// Job is the [Job.Outline] of the job as it is now, zero if Err is set.
	Job Job
	// Again: the end had taken effect before, this time it changed nothing.
	Again bool
	// Err is nil, [ErrLeaseLost], or why the store could not store this one alone: it is to be stored again.
	Err error
}

// Reassignment gives a running job to another worker of its process.
type Reassignment struct {
	Lease   Lease
	Process uuid.UUID
	Worker  uuid.UUID
}

// Cancellation asks for jobs to be canceled.
type Cancellation struct {
	Now    time.Time
	IDs    []uuid.UUID
	Reason string
	// Organization leaves the jobs of all others alone, for whoever asks on its behalf; nil is no restriction.
	Organization *uuid.UUID
	// Expire gives up jobs that nobody can run: only pending ones, and they fail.
	Expire bool
}

// Registry holds the verbs of processes. A process is one run of an acquirer; its leases live as long as it
// beats. Ids are never used again, so there is no epoch beside them.
type Registry interface {
	// Heartbeat registers the process or counts one more of its heartbeats, and says how the fleet is. A process that was
	// declared lost stays lost: [ErrProcessLost]. The record of the process is its sign of life: where somebody else holds its
	// row, no heartbeat can be stored, which is an error, and the process is judged like one that is silent. Workers replaces what the process said about its workers; nil
	// keeps it.
	Heartbeat(ctx context.Context, h Heartbeat) (Fleet, error)

	// Reap declares a process lost if its count of heartbeats still is r.Heartbeats, and returns up to r.Limit jobs
	// that it holds. If the process has beaten in the meantime, nothing happens and nothing is returned; if it
	// was lost before, its jobs are returned all the same, so that what was interrupted can be finished. A process that is
	// not registered and holds running jobs counts as one without heartbeats: it gets a record as a lost one. Where somebody
	// else holds the row of the process it fails soon, so that others can be declared lost.
	Reap(ctx context.Context, r ReapRequest) (Reaped, error)

	// PruneJobs deletes up to limit jobs that ended before the given time, with their lines, the records of processes that were
	// declared lost before it and hold nothing, and the pauses that ended before it. It returns the number of jobs deleted. However long their
	// logs are, no transaction deletes more than some ten thousand lines; an error may come after some jobs are deleted. What
	// somebody else holds a row of stays, and keeps nothing else; so does what the database refuses to delete.
	PruneJobs(ctx context.Context, before time.Time, limit int) (int, error)
}

// Heartbeat is a process's sign of life.
type Heartbeat struct {
	Process uuid.UUID
	// Name is for people: the host and whatever else distinguishes two processes. It is cut to [MaxActor] bytes.
	Name string
	Now  time.Time
	// Workers are the process's waiting and busy workers by domain; nil means unchanged.
	Workers []DomainWorkers
}

// DomainWorkers is the workers of one domain in one process.
type DomainWorkers struct {
	Domain Domain
	// Waiting and Busy are numbers of slots.
	Waiting, Busy int
}

// Fleet is the answer to a heartbeat.
type Fleet struct {
	// Processes are all that are not lost, the caller included, and the lost ones that still hold jobs. Those that hold
	// running jobs and are not registered, as after a partial restore, are among them with no heartbeats.
	Processes []Process
	// Canceled are leases of the caller whose job somebody asked to cancel.
	Canceled []Lease
	// Running is the number of running jobs of each kind, in all processes; kinds without any are absent.
	Running map[Kind]int
	// Unreadable is the number of processes whose workers cannot be read; they are in Processes without them.
	Unreadable int
}

// Kind is what jobs are counted by.
type Kind struct {
	Organization uuid.UUID
	Type         string
}

// Process is what the store knows of a process.
type Process struct {
	ID   uuid.UUID
	Name string
	// Heartbeats is their number so far: it rises while the process lives.
	Heartbeats  int64
	HeartbeatAt time.Time
	Lost        bool
	// Holding is the number of jobs whose lease the process has.
	Holding int
	Workers []DomainWorkers
}

// ReapRequest declares a process lost.
type ReapRequest struct {
	Now     time.Time
	Process uuid.UUID
	// Heartbeats is the count at which the process was seen not to rise.
	Heartbeats int64
	Limit      int
}

// Reaped is the answer of [Registry.Reap].
type Reaped struct {
	// Lost: the process is lost, from now on or before.
	Lost bool
	// Jobs are some that it holds.
	Jobs []Job
}

// Inspector holds the questions of operators, and of an acquirer that looks for a claim.
type Inspector interface {
	// Jobs returns the jobs that meet every set field of the filter, by creation time and id.
	Jobs(ctx context.Context, f Filter) ([]Job, error)

	// Lines returns up to limit lines of a job's log with a number above after, in order.
	Lines(ctx context.Context, job uuid.UUID, after int64, limit int) ([]Line, error)

	// Ahead says for each lane of the job's organization how many ready jobs go before this one by
	// [Job.Before], counted up to countTo; lanes with none are absent. Nil if the job is not pending.
	Ahead(ctx context.Context, job uuid.UUID, countTo int) ([]ReadyLane, error)
}

// Filter selects jobs. At least one of IDs, Process and Lane must be set; the zero filter selects nothing.
type Filter struct {
	IDs []uuid.UUID
	// Process selects the running jobs whose lease the process has.
	Process uuid.UUID
	// Token, beside Process, selects those of one claim.
	Token uuid.UUID
	// Lane selects the pending jobs of a lane, delayed ones included.
	Lane *Lane
	// Organization keeps jobs of this organization, for whoever asks on its behalf; nil keeps all.
	Organization *uuid.UUID
	// CreatedBefore keeps jobs created before this time; zero keeps all.
	CreatedBefore time.Time
	// Limit on the number of jobs; 0 means none.
	Limit int
}
