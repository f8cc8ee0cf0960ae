package queue

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
)

// Limits of a posting, in bytes but for the weight.
const (
	MaxPayload = 1 << 20
	MaxTrace   = 512
	MaxUnique  = 256
	MaxWeight  = 1000
)

// Reserved reports whether a type of job is the library's own. Jobs of such a type act on what the library keeps, so they are
// posted by the part of it that keeps it, together with what they are for, and by nobody else.
func Reserved(jobType string) bool { return jobType == "workspace_build" }

// Posting asks for a job. Its zero value is not usable: a type is required.
type Posting struct {
	// ID of the job. A posting whose ID is stored already changes nothing, so that an enqueue whose answer was
	// lost can be repeated. Defaults to a new version 7 UUID.
	ID           uuid.UUID
	Organization uuid.UUID
	// Tenant is who the job is for, for example the workspace's owner.
	Tenant uuid.UUID
	Type   string
	Tags   map[string]string
	// Priority: higher goes first. Defaults to 0.
	Priority int16
	// Weight is the tenant's share, 1 to 1000: with twice the weight it gets twice the turns. Defaults to 1.
	Weight  int
	Payload []byte
	// NotBefore is the earliest time at which the job may be claimed. Defaults to at once.
	NotBefore time.Time
	// Unique, if set, keeps jobs from being there twice: while a job of the same organization and type with the same key is
	// pending or running, a posting makes none, and the answer is the one that is there, with [Job].Duplicate set.
	Unique string
	// RunLimit bounds one attempt, from when it is handed out. Then the worker is told to stop, with [ErrTimeout] as the
	// cause. Defaults to what the acquirer is configured with for the type.
	RunLimit time.Duration
	// Trace is the W3C trace context to carry to the worker.
	Trace string
}

// Validate says what is wrong with the posting, as a [*invalid.Error].
func (p Posting) Validate() error {
	_, err := p.check()
	return in("Posting", err)
}

// ReadyAt returns when the posting's job may be claimed if it is posted now: at NotBefore, or now if that has come, which is so of a zero one.
// As a store keeps it, in microseconds.
func (p Posting) ReadyAt(now time.Time) time.Time {
	ready, now := micros.Of(p.NotBefore), micros.Of(now)
	if ready.Before(now) {
		return now
	}
	return ready
}

// Lane returns where the posting's job will wait. The error is that of [Posting.Validate].
func (p Posting) Lane() (Lane, error) {
	tags, err := p.check()
	if err != nil {
		return Lane{}, in("Posting", err)
	}
	return Lane{Organization: p.Organization, Type: p.Type, Tags: tags, Priority: p.Priority}, nil
}

// Job turns the posting into the row that a store keeps: valid, canonical, pending. Every store calls it, also
// when it writes a job in somebody else's commit, so that all rows are alike. The order number stays zero; it
// is the store's to give (see [FairOrder]).
func (p Posting) Job(now time.Time) (Job, error) {
	tags, err := p.check()
	if err != nil {
		return Job{}, in("Posting", err)
	}
	id := p.ID
	if id == uuid.Nil {
		if id, err = uuid.NewV7(); err != nil {
			return Job{}, err
		}
	}
	return Job{
		ID: id, Organization: p.Organization, Tenant: p.Tenant,
		Type: p.Type, Tags: tags, Priority: p.Priority, Weight: max(p.Weight, 1),
		Payload: slices.Clone(p.Payload), Trace: p.Trace, Unique: p.Unique, RunLimit: p.RunLimit,
		CreatedAt: micros.Of(now), ReadyAt: p.ReadyAt(now), State: Pending,
	}, nil
}

func (p Posting) check() (TagSet, error) {
	if err := ValidateType(p.Type); err != nil {
		return TagSet{}, err
	}
	switch {
	case p.Weight < 0 || p.Weight > MaxWeight:
		return TagSet{}, invalid.New("weight", p.Weight, "must be between 0 and %d", MaxWeight)
	case len(p.Payload) > MaxPayload:
		return TagSet{}, invalid.New("payload", len(p.Payload), "must be at most %d bytes", MaxPayload)
	case len(p.Unique) > MaxUnique || !isText(p.Unique):
		return TagSet{}, invalid.New("unique", p.Unique, "must be UTF-8 without control characters, at most %d bytes", MaxUnique)
	case p.RunLimit < 0:
		return TagSet{}, invalid.New("runLimit", p.RunLimit, "must not be negative")
	case len(p.Trace) > MaxTrace || !isText(p.Trace):
		return TagSet{}, invalid.New("trace", p.Trace, "must be UTF-8 without control characters, at most %d bytes", MaxTrace)
	}
	return NewTagSet(p.Tags)
}

// orderStep is the distance between two jobs of a tenant of weight one.
const orderStep = 1 << 20

// FairLead is how far behind the number claimed last a new job stands at least. It is the smallest step there is. Without
// it those who come would stand beside those who wait, and go first or not by their ids, for ever.
const FairLead = orderStep / MaxWeight

// FairOrder is the order number of a new job: one step of its tenant behind the tenant's last job, but at least
// [FairLead] behind the number claimed last. Both arguments are of the job's organization and priority; zero means none.
//
// Claiming by this number lets tenants take turns at no cost in the claim (start-time fair queueing: Goyal,
// Vin and Cheng, 1996). The floor sees to it that a tenant is neither punished for what it had long ago nor
// rewarded for having waited with nothing to do. The floor may lag a little; then a turn comes early, no more.
func FairOrder(tenantLast, floor int64, weight int) int64 {
	if floor > 0 {
		floor += FairLead
	}
	return max(tenantLast+orderStep/int64(max(weight, 1)), floor)
}
