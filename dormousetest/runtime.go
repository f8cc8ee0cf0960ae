package dormousetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Runtime stands for the machines: builds take time, change what runs, and fail when the test wants them to. Its zero value
// is ready, its fields are set before the test, and its methods are safe for concurrent use. Two builds of one workspace at
// the same time fail the test: the engine promises that there are none.
type Runtime struct {
	// Takes is how long a build takes, by its transition. Defaults to half a minute.
	Takes map[dormouse.Transition]time.Duration

	mu    sync.Mutex
	t     *testing.T
	boxes map[uuid.UUID]*box
}

// box is what there is of one workspace outside of the store.
type box struct {
	running bool
	exists  bool
	busy    bool
	builds  int
	next    []fault
}

// fault is what befalls one build.
type fault struct {
	err  error
	lost bool
	hang bool
	lies bool
}

// ErrAnswerLost is the reason why a build that [Runtime.LoseAnswer] was asked for is carried out again.
var ErrAnswerLost = errors.New("the runtime's answer was lost")

func (r *Runtime) begin(t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.t, r.boxes = t, map[uuid.UUID]*box{}
}

// Fail makes the next build of a workspace fail with an error, after its time and without an effect. Several faults of one
// workspace befall its builds one after the other.
func (r *Runtime) Fail(workspace uuid.UUID, err error) { r.plan(workspace, fault{err: err}) }

// LoseAnswer makes the next build of a workspace take effect without the plane hearing of it, so that it is carried out
// again a second later: what a host's runtime has to bear.
func (r *Runtime) LoseAnswer(workspace uuid.UUID) { r.plan(workspace, fault{lost: true}) }

// Lie makes the next build of a workspace succeed, in its words, without any effect: what the engine believes and what runs
// then differ, until somebody looks ([dormouse.Plane.Observe]).
func (r *Runtime) Lie(workspace uuid.UUID) { r.plan(workspace, fault{lies: true}) }

// Kill ends what runs of a workspace behind everybody's back, as a crash does.
func (r *Runtime) Kill(workspace uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.box(workspace).running = false
}

// Hang makes the next build of a workspace last until its context ends.
func (r *Runtime) Hang(workspace uuid.UUID) { r.plan(workspace, fault{hang: true}) }

func (r *Runtime) plan(workspace uuid.UUID, f fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.box(workspace)
	b.next = append(b.next, f)
}

// box returns what there is of a workspace. The caller holds the lock.
func (r *Runtime) box(workspace uuid.UUID) *box {
	if r.boxes == nil {
		r.boxes = map[uuid.UUID]*box{}
	}
	b, ok := r.boxes[workspace]
	if !ok {
		b = &box{}
		r.boxes[workspace] = b
	}
	return b
}

// Build is for dormouse.Config.Build.
func (r *Runtime) Build(ctx context.Context, b *dormouse.Build) error {
	f := r.take(b)
	defer r.release(b)
	if f.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if err := r.pass(ctx, b.Transition); err != nil {
		return err
	}
	if f.err != nil {
		return f.err
	}
	if !f.lies {
		r.effect(b)
	}
	if f.lost {
		return dormouse.Retry(time.Second, ErrAnswerLost)
	}
	return nil
}

// take begins a build, and returns what befalls it.
func (r *Runtime) take(b *dormouse.Build) (f fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	box := r.box(b.Workspace.ID)
	if box.busy && r.t != nil {
		r.t.Errorf("build %d of %s began while another one was carried out", b.Number, b.Workspace.Name)
	}
	box.busy = true
	box.builds++
	if len(box.next) > 0 {
		f, box.next = box.next[0], box.next[1:]
	}
	return f
}

func (r *Runtime) release(b *dormouse.Build) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.box(b.Workspace.ID).busy = false
}

func (r *Runtime) pass(ctx context.Context, t dormouse.Transition) error {
	takes, ok := r.Takes[t]
	if !ok {
		takes = 30 * time.Second
	}
	timer := time.NewTimer(takes)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s interrupted: %w", t, ctx.Err())
	case <-timer.C:
		return nil
	}
}

func (r *Runtime) effect(b *dormouse.Build) {
	r.mu.Lock()
	defer r.mu.Unlock()
	box := r.box(b.Workspace.ID)
	box.running = b.Transition == lifecycle.TransitionStart
	box.exists = b.Transition != lifecycle.TransitionDelete
}

// Runs reports whether a workspace runs, whatever the store says.
func (r *Runtime) Runs(workspace uuid.UUID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.box(workspace).running
}

// Exists reports whether there is anything of a workspace.
func (r *Runtime) Exists(workspace uuid.UUID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.box(workspace).exists
}

// Builds is how often builds of a workspace were carried out, repetitions and both halves of a restart included.
func (r *Runtime) Builds(workspace uuid.UUID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.box(workspace).builds
}

// Running is the number of workspaces that run.
func (r *Runtime) Running() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for b := range maps.Values(r.boxes) {
		if b.running {
			n++
		}
	}
	return n
}
