package workerpooltest

import (
	"time"

	"github.com/dormouse-go/dormouse/workerpool"
)

// Knobs are what can be slow or go wrong. The zero value is a provider without faults and without delays, whose jobs run
// until they are killed. Change them through [Provider.Configure]. Functions are called with the provider locked and must
// not use it.
type Knobs struct {
	// CreateDelay, ListDelay and CallDelay (of destroy and tag calls) are how long the calls take.
	CreateDelay, ListDelay, CallDelay time.Duration
	// CreateError fails a create before anything exists.
	CreateError func(workerpool.Order) error
	// LoseAnswer lets a create succeed and its caller get an error.
	LoseAnswer func(workerpool.Order) bool
	// Quota bounds the instances of a quota group, Capacity those of a provider type.
	Quota, Capacity map[string]int
	// CapacityScope is what the lack of capacity concerns.
	CapacityScope workerpool.Scope
	// RateLimit bounds the create calls in RateWindow; the error names the end of the window unless RateSilent.
	RateLimit  int
	RateWindow time.Duration
	RateSilent bool
	// SameID lets every create return this id.
	SameID workerpool.InstanceID

	// ListError fails listings. ListRetryAt makes that a rate limit.
	ListError   error
	ListRetryAt time.Time
	// ListLag is how long after its creation an instance is not listed.
	ListLag time.Duration
	// ListEmpty is how many of the next listings are empty.
	ListEmpty int
	// ListOmit hides instances.
	ListOmit func(workerpool.InstanceID) bool
	// ListTwice lists every instance twice, ListExtra lists others besides.
	ListTwice bool
	ListExtra []workerpool.Instance

	// TagBytes cuts the values of tags; zero: no limit. TagError fails tag calls, TagsLost ignores them.
	TagBytes int
	TagError error
	TagsLost bool

	// DestroyError fails destroys, DestroyIgnored is how many of the next ones have no effect, and DestroyTakes how long
	// an instance is still listed after one.
	DestroyError   error
	DestroyIgnored int
	DestroyTakes   time.Duration

	// BootTime is how long an instance is not ready. NeverReady are those that never are.
	BootTime   time.Duration
	NeverReady func(workerpool.InstanceID) bool
	// CommandTime is how long a command takes.
	CommandTime time.Duration
	// CommandError fails commands that have no effect.
	CommandError func(id workerpool.InstanceID, command string) error
	// Hang lets commands never end: until their context does, or if Deaf until [Provider.Release].
	Hang func(id workerpool.InstanceID, command string) bool
	Deaf bool
	// Flood is how many bytes every command prints first. Garbage is printed instead of a list.
	Flood   int
	Garbage string
	// Panic lets commands panic.
	Panic bool
	// Broken are workers that say so of themselves.
	Broken func(workerpool.InstanceID) bool

	// JobTime is how long jobs run; zero: until killed. JobTimes is that of single jobs.
	JobTime  time.Duration
	JobTimes map[workerpool.JobID]time.Duration
	// ExitCode of jobs that end by themselves.
	ExitCode int
	// StartError fails the command that starts a job; StartLost, too, but the job runs all the same.
	StartError, StartLost func(workerpool.JobID) error
	// IgnoreKill lets jobs not end when asked to.
	IgnoreKill func(workerpool.JobID) bool
	// ForgetEnds lets workers list only the jobs that run, and not how the others ended.
	ForgetEnds bool
}

// The errors of the classes that a pool tells apart.

// QuotaError is a quota that is reached.
type QuotaError struct{ Group string }

func (e *QuotaError) Error() string      { return "quota of " + e.Group + " is reached" }
func (e *QuotaError) QuotaReached() bool { return true }

// CapacityError is a provider that has run out.
type CapacityError struct {
	Type  string
	Scope workerpool.Scope
}

func (e *CapacityError) Error() string               { return "no capacity for " + e.Type }
func (e *CapacityError) Exhausted() workerpool.Scope { return e.Scope }

// RateLimitError is a provider that wants a pause.
type RateLimitError struct{ Retry time.Time }

func (e *RateLimitError) Error() string      { return "too many requests" }
func (e *RateLimitError) RetryAt() time.Time { return e.Retry }

// AbsentError is an instance that does not exist.
type AbsentError struct{ ID workerpool.InstanceID }

func (e *AbsentError) Error() string { return "no instance " + string(e.ID) }
func (e *AbsentError) Absent() bool  { return true }
