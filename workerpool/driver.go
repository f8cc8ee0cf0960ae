package workerpool

import (
	"context"
	"errors"
	"io"
	"maps"
	"time"
)

// Instance is a machine as a provider lists it. It is a value; the pool keeps nothing of the map.
type Instance struct {
	ID InstanceID
	// Address is where the [Executor] reaches it. It may change, and be empty at first.
	Address string
	// ProviderType is the provider's name of its type.
	ProviderType string
	Tags         map[string]string
	// Leaving: the provider is about to end it, whoever wanted that. It gets no more jobs, and is not destroyed again.
	Leaving bool
}

// Clone returns a copy that shares no memory with i.
func (i Instance) Clone() Instance {
	i.Tags = maps.Clone(i.Tags)
	return i
}

// Order is an instance to create.
type Order struct {
	Type InstanceType
	// Tags that the instance must carry from its first appearance in a listing on. Values have at most 60 bytes.
	Tags map[string]string
	// Secret is also among the tags. An init script may put it on the instance, where the [Executor] can compare it.
	Secret Secret
}

// InstanceSet is a provider of machines. Its methods are called concurrently, and at the pace of
// [Config].OperationsPerSecond. They must end soon after their context has: a call that goes on for 3 seconds more is given
// up (see [Stats.Stuck]).
//
// Errors are told apart by small interfaces, found through wrapping: [RateLimitError], [QuotaError], [CapacityError],
// [AbsentError].
type InstanceSet interface {
	// Create asks for an instance and returns it when its id is known, ready or not. After an error the instance may
	// exist all the same: a listing will show it by its tags.
	Create(ctx context.Context, order Order) (Instance, error)
	// List returns the instances that carry all of the tags, and nothing of those whose destruction is complete. A
	// provider that cannot filter may return others too. An error must be returned if the listing is not complete.
	List(ctx context.Context, tags map[string]string) ([]Instance, error)
	// Destroy asks for the end of an instance. Nil means that the request was accepted; an [AbsentError] that there is
	// no such instance.
	Destroy(ctx context.Context, id InstanceID) error
	// SetTags sets some tags of an instance and leaves the others.
	SetTags(ctx context.Context, id InstanceID, tags map[string]string) error
}

// Target is where a command runs.
type Target struct {
	ID      InstanceID
	Address string
	// Secret that the instance was created with. Zero if another process created it and its tag was cut.
	Secret Secret
}

// Executor runs commands on instances. It is called concurrently, for one instance too.
type Executor interface {
	// Run runs a shell command until it ends or ctx does, and returns nil only if it exited with 0. What the command
	// prints goes to stdout while it runs; a write that fails means that the pool has enough, and the command may be
	// ended. A command whose standard input cannot be given to it as a whole must not run: half a script is another one. What a
	// command that is ended has begun should end with it, as far as that can be: a start that goes on by itself may begin a job
	// that the pool has given to another worker since.
	Run(ctx context.Context, target Target, command string, stdin io.Reader, stdout io.Writer) error
}

// Forgetter is what an [Executor] implements that keeps connections: it is told when an instance is gone.
type Forgetter interface {
	Forget(id InstanceID)
}

// RateLimitError is the provider's request for a pause of all calls of this kind.
type RateLimitError interface {
	error
	// RetryAt is the earliest instant of the next call. The zero time, or one that has passed, leaves it to the pool.
	RetryAt() time.Time
}

// QuotaError says that a quota is reached, which an instance that goes would ease. It holds the type's quota group.
type QuotaError interface {
	error
	QuotaReached() bool
}

// Scope is what a lack of capacity concerns.
type Scope uint8

// The scopes.
const (
	// ScopeOffering: the type in its zone, bought in its way.
	ScopeOffering Scope = iota
	// ScopeGroup: the type's quota group.
	ScopeGroup
	// ScopeAll: every type.
	ScopeAll
)

// CapacityError says that the provider has run out.
type CapacityError interface {
	error
	Exhausted() Scope
}

// AbsentError says that an instance does not exist.
type AbsentError interface {
	error
	Absent() bool
}

// failure is an error of the provider in the pool's terms.
type failure struct {
	reason  Reason
	scope   Scope
	retryAt time.Time
}

func classify(err error) failure {
	var rate RateLimitError
	var quota QuotaError
	var capacity CapacityError
	switch {
	case errors.As(err, &rate):
		return failure{reason: ReasonRateLimit, scope: ScopeAll, retryAt: rate.RetryAt()}
	case errors.As(err, &quota) && quota.QuotaReached():
		return failure{reason: ReasonQuota, scope: ScopeGroup}
	case errors.As(err, &capacity):
		return failure{reason: ReasonCapacity, scope: capacity.Exhausted()}
	}
	return failure{reason: ReasonCreateFailed}
}

func isAbsent(err error) bool {
	var absent AbsentError
	return errors.As(err, &absent) && absent.Absent()
}
