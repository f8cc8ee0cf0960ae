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
// form) is fetched once, used by each of them, and given back.
type Builder interface {
	// Prepare is called once for each group of builds of one template version. An error concerns the whole group. The
	// context ends with the tick, or after Config.BuildTimeout.
	Prepare(ctx context.Context, g Group) (Preparation, error)
}

// Preparation is what a group of builds shares.
type Preparation interface {
	// Build checks and describes one build; nothing happens until the change is committed, and it may never be. It is
	// called from several goroutines at once, must end when its context does, and may be called again for the same
	// workspace in a later tick; so it asks whether there is room, and reserves nothing. A [RefusalError] says "not now"; it is no failure.
	Build(ctx context.Context, r BuildRequest) (BuildSpec, error)
	// Close gives back what Prepare took. It is called exactly once, after the last Build has returned, on every path.
	Close() error
}

// Group is what the builds of a group have in common.
type Group struct {
	TemplateVersionID uuid.UUID
	// Template is the template of the first workspace of the group, the same for all.
	Template lifecycle.Template
	// Size is the number of builds asked for.
	Size int
}

// BuildRequest asks for one build.
type BuildRequest struct {
	// Snapshot is the workspace before the build.
	Snapshot lifecycle.Snapshot
	// Build is the build as it will be queued: transition, reason, number, version.
	Build lifecycle.Build
	// Decision is why; its zero value is a request by hand.
	Decision lifecycle.Decision
}

// BuildSpec is what the job of a build carries besides the build itself.
type BuildSpec struct {
	// Tags say which workers are able to run it. nil for no tags.
	Tags map[string]string
	// Priority orders it among waiting jobs, higher first.
	Priority int16
	// Payload is for the worker; the engine does not look at it.
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

// Availability reports whether a worker exists that is able to run the builds of a group. It is asked once for each group
// that needs builds, before they are prepared. False postpones the group; so does an error.
type Availability func(ctx context.Context, g Group) (bool, error)

// Sink receives the events of one topic. An event for which it returns an error, panics, or takes longer than
// Config.DeliveryTimeout is delivered again, later and later; a repeated event has the same [Event.Key].
type Sink func(ctx context.Context, e lifecycle.Event) error

// RefusalError is a builder's "not now": a quota is used up, a parameter is missing, something is busy. The workspace is
// tried again with growing pauses, counted as skipped and not as an error.
type RefusalError struct {
	// Message is the reason in words, shown by Explain.
	Message string
}

// Error implements error.
func (e *RefusalError) Error() string { return "refused: " + e.Message }

// Refuse returns a [RefusalError].
func Refuse(format string, args ...any) error {
	return &RefusalError{Message: fmt.Sprintf(format, args...)}
}

// PanicError is a panic of a hook, turned into an error of the workspace or group it was called for.
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

// skipCause says how an error of a hook is counted.
func skipCause(err error) lifecycle.SkipReason {
	var refusal *RefusalError
	switch {
	case errors.As(err, &refusal):
		return lifecycle.SkipRefused
	case errors.Is(err, errNoWorker):
		return lifecycle.SkipNoWorker
	}
	return lifecycle.SkipError
}

var errNoWorker = errors.New("no worker is able to run it")
