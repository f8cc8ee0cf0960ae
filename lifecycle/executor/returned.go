package executor

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/dormouse-go/dormouse/internal/outcall"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// absent remembers which workspaces of a template version wait for a worker, as far as the ticks of this process have put them
// off. Their back-off ends by itself within minutes; what is remembered here ends it as soon as a worker is back.
type absent struct {
	mu     sync.Mutex
	groups map[uuid.UUID]*waiting
	size   int
}

// waiting is one version and its workspaces.
type waiting struct {
	group Group
	ids   map[uuid.UUID]struct{}
}

// maxAbsent bounds what is remembered; what is beyond waits for the end of its pause.
const maxAbsent = 10_000

// note remembers a workspace that was put off for want of a worker.
func (a *absent) note(version uuid.UUID, s *lifecycle.Snapshot) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.size >= maxAbsent {
		return
	}
	w := a.groups[version]
	if w == nil {
		w = &waiting{Group{TemplateVersionID: version, Template: s.Template}, map[uuid.UUID]struct{}{}}
		if a.groups == nil {
			a.groups = map[uuid.UUID]*waiting{}
		}
		a.groups[version] = w
	}
	if _, known := w.ids[s.Workspace.ID]; !known {
		w.ids[s.Workspace.ID] = struct{}{}
		a.size++
	}
}

// take empties it.
func (a *absent) take() map[uuid.UUID]*waiting {
	a.mu.Lock()
	defer a.mu.Unlock()
	groups := a.groups
	a.groups, a.size = nil, 0
	return groups
}

// putBack remembers again what still waits.
func (a *absent) putBack(w *waiting) {
	s := lifecycle.Snapshot{Template: w.group.Template}
	for id := range w.ids {
		s.Workspace.ID = id
		a.note(w.group.TemplateVersionID, &s)
	}
}

// returned asks for the workers that were missing, once for each version, and ends the back-off of what waited for those that
// are back: the tick that follows finds it due. A call that takes too long, of the host or of the store, ends this: the tick has
// waited for one, and the rest waits for the end of its pause, as if it had never been remembered.
func (e *Executor) returned(ctx context.Context, now time.Time) {
	var hangs atomic.Bool
	var asked errgroup.Group
	asked.SetLimit(e.cfg.Concurrency)
	for _, w := range e.absent.take() {
		asked.Go(func() error {
			if !hangs.Load() && isLate(e.askAgain(ctx, now, w)) {
				hangs.Store(true)
			}
			return nil
		})
	}
	_ = asked.Wait() // the questions report by themselves
}

// askAgain asks for the workers of a version. The error is why that ends here.
func (e *Executor) askAgain(ctx context.Context, now time.Time, w *waiting) error {
	g := w.group
	g.Size = len(w.ids)
	available, err := e.available(ctx, g)
	switch {
	case isLate(err):
		warn(ctx, e.logger, "ask for workers that were missing", err)
	case err != nil || !available:
		e.absent.putBack(w)
	default:
		if err = e.resume(ctx, now, slices.Collect(maps.Keys(w.ids))); err != nil {
			warn(ctx, e.logger, "end the back-off of what waited for a worker", err)
		}
	}
	return err
}

// resume ends the back-offs. What cannot be written waits for the end of its pause.
func (e *Executor) resume(ctx context.Context, now time.Time, ids []uuid.UUID) error {
	verb := lifecycle.WorkerReturned()
	for page := range slices.Chunk(ids, e.cfg.PageSize) {
		found, err := e.store.Load(ctx, page...)
		if err != nil {
			return err
		}
		var changes []lifecycle.Change
		for _, s := range found {
			if c, err := verb(s, now); err == nil {
				c.Events = e.wanted().Filter(c.Events)
				changes = append(changes, c)
			}
		}
		if _, err := e.write(ctx, now, changes); err != nil {
			return err
		}
	}
	return nil
}

// available asks whether a worker exists for a group.
func (e *Executor) available(ctx context.Context, g Group) (bool, error) {
	name := outcall.Name{Kind: "ask for workers", One: "ask for workers of version " + g.TemplateVersionID.String()}
	return callOn(ctx, e.caller, outcall.Apart, e.builds.timeout, name,
		func(ctx context.Context) (bool, error) { return e.cfg.Available(ctx, g) }, nil)
}
