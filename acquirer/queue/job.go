package queue

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// State is where a job is in its life.
type State string

// The states of a job. Pending and Running are alive, the others are final.
const (
	Pending   State = "pending"
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Canceled  State = "canceled"
)

// Final reports whether a job in this state is over.
func (s State) Final() bool { return s == Succeeded || s == Failed || s == Canceled }

// Job is one unit of work as a store keeps it. It is a value: what crosses a store's border is a copy.
// Times are UTC with microseconds; the zero time means "not yet".
type Job struct {
	ID           uuid.UUID
	Organization uuid.UUID
	// Tenant is who the job is for; tenants of one organization take turns.
	Tenant   uuid.UUID
	Type     string
	Tags     TagSet
	Priority int16
	// Weight is the tenant's share against others, 1 being usual.
	Weight  int
	Payload []byte
	// Unique is [Posting.Unique].
	Unique string
	// RunLimit is [Posting.RunLimit].
	RunLimit time.Duration
	// Trace is the W3C trace context of whoever posted the job.
	Trace     string
	CreatedAt time.Time
	// Duplicate is set in the answer to an enqueue alone: the posting made no job, and this is the one that was there.
	Duplicate bool
	// Announced is set in the answer to an enqueue alone: other processes were told of the job when it was stored, see [Carrier].
	Announced bool

	State State
	// Order is the job's number in line at its priority in its organization; smaller goes first. It belongs to
	// the store.
	Order int64
	// ReadyAt is the earliest time at which the job may be claimed.
	ReadyAt time.Time
	// Attempt counts how often the job was handed out in this round, without the times that it was given back undelivered.
	Attempt int
	// Round counts how often the job was retried by hand after its end; each round begins with no attempts.
	Round int
	// Fence is raised by every claim and never falls.
	Fence int64
	// Process, Worker and Token name who holds the job (or held it last) and the claim that took it.
	Process, Worker, Token uuid.UUID
	// SecretHash is what is kept of the secret that was handed out with the job; zero: none was.
	SecretHash SecretHash `json:"-"`
	// Secret is set in the job that a worker gets, and nowhere else: no store has it.
	Secret             Secret `json:",omitzero"`
	StartedAt, EndedAt time.Time
	// CancelAt is when somebody asked for the job to be canceled.
	CancelAt time.Time
	// Error says why the job failed or was canceled, or what went wrong with the last attempt.
	Error    string
	Result   []byte
	Progress Progress
}

// Progress is how far a running job says it has come.
type Progress struct {
	// Percent is between 0 and 100.
	Percent int
	Message string
}

// Line is one line of a job's log.
type Line struct {
	// Seq is the line's number within its job, given by the store, rising.
	Seq  int64
	At   time.Time
	Text string
}

// Lease names one claim of a job. It is an order and no right: the right is a [Handout].
type Lease struct {
	Job   uuid.UUID
	Fence int64
}

// Lease returns the lease that the job's last claim gave.
func (j Job) Lease() Lease { return Lease{Job: j.ID, Fence: j.Fence} }

// Lane returns where the job waits while it is ready.
func (j Job) Lane() Lane {
	return Lane{Organization: j.Organization, Type: j.Type, Tags: j.Tags, Priority: j.Priority}
}

// Outline returns the job without what was said about it: no payload, texts, result and secret.
func (j Job) Outline() Job {
	j.Payload, j.Trace, j.Error, j.Result, j.Progress = nil, "", "", nil, Progress{}
	j.Secret, j.SecretHash = Secret{}, SecretHash{}
	return j
}

// Clone returns a copy that shares no memory with j.
func (j Job) Clone() Job {
	j.Payload = slices.Clone(j.Payload)
	j.Result = slices.Clone(j.Result)
	return j
}

// Before reports whether j goes before other in the line of their organization: by priority, then by order
// number, then by id.
func (j Job) Before(other Job) bool {
	if j.Priority != other.Priority {
		return j.Priority > other.Priority
	}
	if j.Order != other.Order {
		return j.Order < other.Order
	}
	return slices.Compare(j.ID[:], other.ID[:]) < 0
}
