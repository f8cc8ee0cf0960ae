package dormouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Build is one build in the hands of Config.Build. Its methods are safe for concurrent use and never wait.
type Build struct {
	// Workspace is the workspace as it was when the build began.
	Workspace Workspace
	// ID and Number identify the build; both stay the same when it is carried out again.
	ID     uuid.UUID
	Number int64
	// Transition is what to do: start, stop or delete.
	Transition Transition
	Reason     lifecycle.Reason
	// Version is the template version to build, Preset the preset if a pool has made the workspace with one (see [Pool]): it is
	// the same for all its builds, also when it is somebody's.
	Version uuid.UUID
	Preset  string
	// Attempt counts how often the build was begun, from 1.
	Attempt int
	// Payload is what Config.Builder put into the job.
	Payload []byte
	// Log takes the output of the build, line by line: a command's output, for example.
	Log io.Writer

	task   *worker.Task
	result string
}

// Logf adds a line to the build's log.
func (b *Build) Logf(format string, args ...any) { b.task.Logf(format, args...) }

// Progress says how far the build is: a percentage, cut to 0..100, and a word about it.
func (b *Build) Progress(percent int, message string) { b.task.Progress(percent, message) }

// SetResult says what the build made, such as an address, as a text. If the build succeeds it is kept, 1,000 bytes of it with the
// build (see [BuildRecord], and [Workspace.Result]), and more with its job as long as there is one. Call it before Config.Build returns, from one goroutine.
func (b *Build) SetResult(result string) { b.result = result }

// Retry wraps an error of Config.Build so that the build does not fail but goes on after a pause, as the same build with
// another attempt. It is up to the host to give up at some [Build.Attempt].
func Retry(after time.Duration, err error) error { return worker.Retry(after, err) }

// unreadable is the pause before a build is begun again when the store could not say what to build.
const unreadable = 2 * time.Second

// handle does the work of one job: the host's build within buildjobs.
func (p *Plane) handle(ctx context.Context, t *worker.Task) ([]byte, error) {
	var result string
	build := func(ctx context.Context, t *worker.Task, j lifecycle.Job) error {
		b, restarts, err := p.load(ctx, t, j)
		if err != nil {
			return err
		}
		err = p.carryOut(ctx, b, restarts)
		result = b.result
		return err
	}
	_, err := buildjobs.Handler(p.executor, build, buildjobs.Config{
		Clock: p.cfg.Clock, Result: func(*worker.Task) string { return result },
	})(ctx, t)
	p.pools.changed()
	return []byte(result), err
}

// load reads what a job is about. A start of what may run is a restart.
func (p *Plane) load(ctx context.Context, t *worker.Task, j lifecycle.Job) (b *Build, restarts bool, err error) {
	s, err := p.executor.Load(ctx, j.WorkspaceID)
	if err != nil {
		return nil, false, passing(err)
	}
	if j.Transition == lifecycle.TransitionStart && j.BuildNumber > 1 {
		before, err := p.store.Builds(ctx, j.WorkspaceID, j.BuildNumber, 1)
		if err != nil {
			return nil, false, passing(err)
		}
		restarts = len(before) == 1 && runsAfter(&before[0])
	}
	preset, err := p.PresetOf(ctx, j.WorkspaceID)
	if err != nil {
		return nil, false, passing(err)
	}
	return &Build{
		Preset: preset, Workspace: WorkspaceOf(s), ID: j.ID, Number: j.BuildNumber, Transition: j.Transition, Reason: j.Reason,
		Version: j.TemplateVersionID, Attempt: t.Job.Attempt, Payload: j.Payload, Log: t, task: t,
	}, restarts, nil
}

// passing lets the build begin again, unless the store has said that it is not there.
func passing(err error) error {
	if errors.Is(err, lifecycle.ErrNotFound) {
		return err
	}
	return worker.Retry(unreadable, err)
}

// runsAfter reports whether a workspace may run after a build that has ended: after a start, and after a stop that failed.
func runsAfter(b *lifecycle.Build) bool {
	return b.Transition == lifecycle.TransitionStart && b.Status == lifecycle.JobSucceeded || !b.RunSince.IsZero()
}

// carryOut calls the host, for a restart first with the stop.
func (p *Plane) carryOut(ctx context.Context, b *Build, restarts bool) error {
	if restarts {
		stop := *b
		stop.Transition = lifecycle.TransitionStop
		if err := p.cfg.Build(ctx, &stop); err != nil {
			return fmt.Errorf("stop before the start: %w", err)
		}
	}
	return p.cfg.Build(ctx, b)
}
