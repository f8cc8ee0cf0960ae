package executor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// Builder prepares builds, one template version at a time: what all builds of a version share (its files, its parsed
// form) is fetched once, used by each of them, and released. It is called from several goroutines at once.
type Builder interface {
	// Prepare is called once for each group of builds of one template version: once in a tick, and again only if more
	// versions are due than Concurrency. An error postpones the whole group; so does a result that is nil. The context ends
	// with the tick, or after BuildTimeout; a call that does not return then is given up.
	Prepare(ctx context.Context, g Group) (Preparation, error)
}

// Preparation is what a group of builds shares.
type Preparation interface {
	// Build checks and describes one build. Nothing happens until the change is committed, which may be never, so Build
	// asks whether there is room and reserves nothing. It is called from several goroutines at once, must return when its
	// context ends, and may be called again for the same workspace in a later tick. A [RefusalError] means "not now" and
	// does not count as a failure. Once more builds of a group have taken too long than have come, the rest of it is
	// postponed untried.
	Build(ctx context.Context, r BuildRequest) (BuildSpec, error)
	// Close releases what Prepare acquired. It is called exactly once, after the last Build has returned, on every path.
	Close() error
}

// Group is what the builds of a group have in common.
type Group struct {
	TemplateVersionID uuid.UUID
	// Template is the template of the first workspace of the group, the same for all.
	Template lifecycle.Template
	// Size is the number of builds known when the group is prepared. Those that a later page of the tick brings join it.
	Size int
}

// BuildRequest asks for one build.
type BuildRequest struct {
	// Snapshot is the workspace before the build.
	Snapshot lifecycle.Snapshot
	// Build is the build as it will be queued: transition, reason, number, version.
	Build lifecycle.Build
	// Decision is the decision of a tick; it is zero for a build that a person asked for.
	Decision lifecycle.Decision
}

// BuildSpec is what the job of a build carries besides the build itself.
type BuildSpec struct {
	// Tags are what a worker must have to run it. Defaults to nil: any worker.
	Tags map[string]string
	// Priority orders it among waiting jobs, higher first. Defaults to 0.
	Priority int16
	// Payload is for the worker; the executor does not read it.
	Payload []byte
}

// BuilderFunc is a [Builder] whose builds share nothing.
type BuilderFunc func(ctx context.Context, r BuildRequest) (BuildSpec, error)

// Prepare implements Builder.
func (f BuilderFunc) Prepare(context.Context, Group) (Preparation, error) { return f, nil }

// Build implements Preparation.
func (f BuilderFunc) Build(ctx context.Context, r BuildRequest) (BuildSpec, error) { return f(ctx, r) }

// Close implements Preparation.
func (f BuilderFunc) Close() error { return nil }

// Availability reports whether a worker exists that is able to run the builds of a group. A tick calls it once for each
// group, before the group is prepared. False postpones the group; so does an error.
type Availability func(ctx context.Context, g Group) (bool, error)

// Sink receives the events of one topic, from several goroutines at once. If it returns an error, panics, or takes longer
// than Config.DeliveryTimeout, the event is delivered again, after growing pauses; a repeated event has the same
// [lifecycle.Event.Key]. It must return when its context ends.
type Sink func(ctx context.Context, e lifecycle.Event) error

// RefusalError is a builder's "not now": a quota is used up, a parameter is missing, something is busy. The transition is
// tried again after growing pauses, and counts as skipped, not as an error.
type RefusalError struct {
	// Message is the reason, which Explain shows.
	Message string
}

// Error implements error.
func (e *RefusalError) Error() string { return "refused: " + e.Message }

// Refuse returns a [RefusalError].
func Refuse(format string, args ...any) error {
	return &RefusalError{Message: fmt.Sprintf(format, args...)}
}

// PanicError is a panic in a hook of the host, as an error of the workspace, group or event that the hook was called for.
type PanicError struct {
	Value any
	Stack []byte
}

// Error implements error.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// guard calls a hook of the host and turns a panic into an error.
func guard(call func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return call()
}

// skipCause returns how an error of a hook is counted.
func skipCause(err error) lifecycle.SkipReason {
	var refusal *RefusalError
	switch {
	case errors.As(err, &refusal):
		return lifecycle.SkipRefused
	case errors.Is(err, errNoWorker):
		return lifecycle.SkipNoWorker
	case errors.Is(err, errBraked):
		return lifecycle.SkipBrake
	}
	return lifecycle.SkipError
}

var errNoWorker = errors.New("no worker is able to run it")
