package workerpool

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
)

// JobID names a job: 1 to 60 letters, digits and "-_.", since it is a word of the commands on a worker, and of their answers, in
// which "broken" has a meaning of its own.
type JobID string

// lineBroken is the line of a worker's list by which it says that it cannot run jobs.
const lineBroken = "broken"

// JobState is where a job is, as the queue sees it.
type JobState uint8

// The states of a job. What has ended is not shown to the pool.
const (
	// JobWaiting: it may be placed.
	JobWaiting JobState = iota
	// JobAssigned: this pool has claimed it.
	JobAssigned
	// JobCanceled: it must end where it runs.
	JobCanceled
	// JobExpected: something else will start it, by [Pool.StartJob]. It counts for the plan, which keeps or creates room
	// for it, and is never started by one.
	JobExpected
)

// Job is one unit of work.
type Job struct {
	ID JobID
	// Priority: higher goes first. At one priority the job that waits longest goes first.
	Priority int
	// Since is when it began to wait.
	Since time.Time
	// Needs is what it takes of a worker, one slot at least.
	Needs Resources
	// Requires are labels that the worker's type must have.
	Requires map[string]string
	// Plain keeps the job from types that have other labels than those that it requires: rare workers are for who asks for
	// them.
	Plain bool
	State JobState
	// Payload is the standard input of the command that starts it.
	Payload []byte
}

// needs is what the job takes, with its default.
func (j *Job) needs() Resources {
	n := j.Needs
	n.Slots = max(n.Slots, 1)
	return n
}

// Validate refuses a job that no worker could be told about.
func (j *Job) Validate() error {
	if !isName(string(j.ID)) {
		return invalid.New("Job.ID", string(j.ID), nameRule)
	}
	if j.ID == lineBroken {
		return invalid.New("Job.ID", string(j.ID), "must not be what a worker says of itself")
	}
	return j.Needs.validate("Job.Needs")
}

// Queue is where jobs wait: a host's own, or one in front of an acquirer. Two methods, both idempotent.
type Queue interface {
	// Jobs returns the jobs that concern the pool, in any order: every job that the pool has claimed and that has not
	// ended, and those that wait, if there are very many then the first of them. A job that the pool runs and that is
	// missing is taken for one that must not run, and killed.
	Jobs(ctx context.Context) ([]Job, error)

	// Record takes note of what became of a job. For [Claimed] it must be atomic: it returns nil only if the job
	// waited and is the pool's from now on, or was so already for the same worker; whatever else it returns, the job
	// is not started. All other records are repeated until they return nil.
	//
	// A worker lists what it likes, and after a restart the pool knows no better. Where jobs could make theirs lie, a record with a
	// Worker counts only if it is the one that the job was claimed for; of any other it does nothing and returns nil.
	Record(ctx context.Context, r Record) error
}

// RecordKind says what became of a job.
type RecordKind string

const (
	// Claimed: the pool is about to start the job on the worker.
	Claimed RecordKind = "claimed"
	// Ended: its process has ended on the worker, with ExitCode if that is known.
	Ended RecordKind = "ended"
	// NotStarted: it did not start on the worker and leaves no trace there. It may be given out again.
	NotStarted RecordKind = "not_started"
	// Lost: the worker is gone, and how far the job came is not known.
	Lost RecordKind = "lost"
	// Released: the queue says that the pool has it, but it is on no worker. It may be given out again.
	Released RecordKind = "released"
)

// Record is what became of a job on a worker.
type Record struct {
	Job    JobID
	Kind   RecordKind
	Worker InstanceID
	At     time.Time
	// ExitCode, of an ended job; ExitUnknown if the worker could not tell.
	ExitCode int
	// Cost is the job's share of its worker's price, as far as this process has seen it.
	Cost float64
	// Reason in words.
	Reason string
}

// ExitUnknown is the exit code of a job whose end nobody saw.
const ExitUnknown = -1

// requirement brings labels into one text, the same for the same labels.
func requirement(labels map[string]string) string {
	if len(labels) == 0 {
		return ""
	}
	parts := make([]string, 0, len(labels))
	for k, v := range labels {
		parts = append(parts, strconv.Quote(k)+"="+strconv.Quote(v))
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}
