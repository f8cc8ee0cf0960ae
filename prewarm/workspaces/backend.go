package workspaces

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
)

func idsOf(m prewarm.Member) []uuid.UUID { return []uuid.UUID{m.ID} }

// nameOf is what an unclaimed workspace is called.
func nameOf(m *prewarm.Member) string {
	return strings.ReplaceAll(m.Pool, "/", "-") + "-" + m.Resource.String()[24:]
}

// Create implements [prewarm.Backend]: it makes the workspace, managed and the manager's, and asks for its start.
func (w *Workspaces) Create(ctx context.Context, m prewarm.Member) (prewarm.Status, error) {
	version, err := ParseVersion(m.Version)
	if err != nil {
		return prewarm.StatusUnknown, err
	}
	if err := w.make(ctx, m); err != nil {
		return prewarm.StatusUnknown, err
	}
	s, err := w.engine.Update(ctx, m.Resource, startOnce(version.Template))
	if err != nil {
		return prewarm.StatusUnknown, err
	}
	if err := w.wanted(ctx, m); err != nil {
		return prewarm.StatusUnknown, err
	}
	status, _ := statusOf(&s)
	return status, nil
}

// make stores the workspace, unless it is there.
func (w *Workspaces) make(ctx context.Context, m prewarm.Member) error {
	if _, exists, err := w.load(ctx, m.Resource); err != nil || exists {
		return err
	}
	if err := w.manage(ctx); err != nil {
		return err
	}
	t, ok, err := w.store.Template(ctx, w.cfg.Template)
	if err == nil && !ok {
		err = invalid.New("Config.Template", w.cfg.Template, "is unknown")
	}
	if err != nil {
		return err
	}
	now := w.now()
	space := lifecycle.NewWorkspace(m.Resource, t, w.cfg.Manager.ID, nameOf(&m), now)
	space.Managed = true
	err = w.store.CreateWorkspaces(ctx, now, space)
	if err == nil {
		return nil
	}
	if _, exists, again := w.load(ctx, m.Resource); again == nil && exists {
		return nil // another process was faster
	}
	return err
}

// startOnce asks for the first build, and for no other.
func startOnce(version uuid.UUID) lifecycle.Verb {
	start := lifecycle.RequestBuild(lifecycle.TransitionStart, version)
	return func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
		if s.Build.Number > 0 {
			return lifecycle.Change{}, lifecycle.ErrUnchanged
		}
		return start(s, now)
	}
}

// wanted deletes what was made too late: whoever destroyed the member meanwhile found nothing to delete.
func (w *Workspaces) wanted(ctx context.Context, m prewarm.Member) error {
	found, err := w.store.Members(ctx, prewarm.Query{Pool: m.Pool, IDs: idsOf(m)})
	if err != nil || len(found) == 1 && found[0].State < prewarm.Deleting {
		return err
	}
	if _, err := w.remove(ctx, m.Resource); err != nil && !errors.Is(err, errRemoving) {
		return err
	}
	return errors.New("the member is no longer wanted")
}

// Destroy implements [prewarm.Backend]: it asks for the workspace's deletion and waits for its end. A workspace that was
// handed over is deleted only when the claim is returned; whatever else ends a claim, the workspace stays its owner's, and
// the rules of the lifecycle end it. A deletion that fails is an error: the pool asks for another one when it is time.
func (w *Workspaces) Destroy(ctx context.Context, m prewarm.Member) error {
	for asked := int64(0); ; {
		change := w.change()
		s, ok, err := w.load(ctx, m.Resource)
		if err != nil {
			return err
		}
		if !ok || s.Workspace.Deleted || !s.Workspace.Managed && m.Reason != prewarm.ReasonReturned {
			return nil
		}
		if b := &s.Build; asked > 0 && b.Number == asked && !b.Status.Active() {
			return fmt.Errorf("the deletion of workspace %s has %s: %q", m.Resource, b.Status, b.Error)
		}
		asked, err = w.remove(ctx, m.Resource)
		if err != nil && !errors.Is(err, errRemoving) {
			return err
		}
		if !w.wait(ctx, change) {
			return fmt.Errorf("workspace %s is not deleted yet: %w", m.Resource, context.Cause(ctx))
		}
	}
}

var (
	errRemoving  = errors.New("its deletion is under way")
	errOtherwise = errors.New("a build is active")
)

// remove asks for a deletion, and returns the number of its build: of the one that was asked for, or that is under way. While
// another build is active it is canceled first, and the number is 0.
func (w *Workspaces) remove(ctx context.Context, id uuid.UUID) (deletion int64, err error) {
	var busy lifecycle.Build
	s, err := w.engine.Update(ctx, id, func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
		switch b := &s.Build; {
		case s.Workspace.Deleted:
			return lifecycle.Change{}, lifecycle.ErrUnchanged
		case b.Status.Active() && b.Transition == lifecycle.TransitionDelete:
			deletion = b.Number
			return lifecycle.Change{}, errRemoving
		case b.Status.Active():
			busy = *b
			return lifecycle.Change{}, errOtherwise
		}
		return lifecycle.RequestBuild(lifecycle.TransitionDelete, uuid.Nil)(s, now)
	})
	switch {
	case err == nil:
		return s.Build.Number, nil
	case !errors.Is(err, errOtherwise):
		return deletion, err
	case w.cfg.Cancel == nil || busy.Status == lifecycle.JobCanceling:
		return 0, errRemoving
	}
	if err := w.cfg.Cancel(ctx, id, busy.Number); err != nil && !errors.Is(err, lifecycle.ErrStaleBuild) {
		return 0, err
	}
	return 0, errRemoving
}

// List implements [prewarm.Backend]: the workspaces of all living members, and those that are the manager's without being
// one's. A member's workspace whose first build was never asked for is left out: the process that was to ask has died in
// between, and the pool has what is not listed created again.
func (w *Workspaces) List(ctx context.Context, pool string) ([]prewarm.Event, error) {
	// The manager's come first: a member that is added meanwhile is not taken for lost, since it is read after them.
	events, err := w.unclaimed(ctx)
	if err != nil {
		return nil, err
	}
	members, err := w.store.Members(ctx, prewarm.Query{Pool: pool, States: living})
	if err != nil {
		return nil, err
	}
	found, err := w.snapshots(ctx, members)
	if err != nil {
		return nil, err
	}
	for i := range members {
		m := &members[i]
		s, ok := found[m.Resource]
		switch {
		case !ok:
		case m.State == prewarm.Starting && s.Build.Number == 0:
			delete(events, m.Resource)
		default:
			events[m.Resource] = eventOf(&s)
		}
	}
	list := make([]prewarm.Event, 0, len(events))
	for _, e := range events {
		list = append(list, e)
	}
	return list, nil
}

// living are the states of members that a workspace may stand for.
var living = []prewarm.State{
	prewarm.Starting, prewarm.Held, prewarm.Ready, prewarm.Claimed, prewarm.Cleaning, prewarm.Quarantined, prewarm.Deleting,
}

// unclaimed are the manager's workspaces.
func (w *Workspaces) unclaimed(ctx context.Context) (map[uuid.UUID]prewarm.Event, error) {
	events := make(map[uuid.UUID]prewarm.Event)
	q := lifecycle.ListQuery{OwnerID: w.cfg.Manager.ID, Limit: loadAtOnce}
	for {
		page, err := w.store.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range page {
			events[page[i].Workspace.ID] = eventOf(&page[i])
		}
		if len(page) < q.Limit {
			return events, nil
		}
		q.After = page[len(page)-1].Workspace.ID
	}
}

func eventOf(s *lifecycle.Snapshot) prewarm.Event {
	status, message := statusOf(s)
	return prewarm.Event{Resource: s.Workspace.ID, Status: status, Message: message}
}

// Watch implements [prewarm.Backend]: it looks at the workspaces of members that start at every poll, and at those of ready ones
// too at every change.
func (w *Workspaces) Watch(ctx context.Context, pool string, tell func(prewarm.Event)) error {
	w.mu.Lock()
	w.tell = tell
	w.mu.Unlock()
	told := make(map[uuid.UUID]prewarm.Event)
	states := watched
	for {
		change := w.change()
		now, err := w.seen(ctx, pool, states)
		if err != nil {
			return err
		}
		for id, e := range now {
			if told[id] != e {
				tell(e)
			}
		}
		told = now
		if !w.wait(ctx, change) {
			return ctx.Err()
		}
		states = watched[:2]
		select {
		case <-change:
			states = watched
		default:
		}
	}
}

// watched are the states of members that something is told about, ready ones last: they are looked at less often.
var watched = []prewarm.State{prewarm.Starting, prewarm.Held, prewarm.Ready}

// seen is what is to be told of the members in some states.
func (w *Workspaces) seen(ctx context.Context, pool string, states []prewarm.State) (map[uuid.UUID]prewarm.Event, error) {
	members, err := w.store.Members(ctx, prewarm.Query{Pool: pool, States: states})
	if err != nil {
		return nil, err
	}
	found, err := w.snapshots(ctx, members)
	if err != nil {
		return nil, err
	}
	events := make(map[uuid.UUID]prewarm.Event, len(found))
	for id, s := range found {
		events[id] = eventOf(&s)
	}
	return events, nil
}

// Mark implements [prewarm.Backend].
func (w *Workspaces) Mark(ctx context.Context, m prewarm.Member) error {
	if w.cfg.Claimed == nil {
		return nil
	}
	s, ok, err := w.load(ctx, m.Resource)
	if err == nil && !ok {
		err = fmt.Errorf("workspace %s: %w", m.Resource, lifecycle.ErrNotFound)
	}
	if err != nil {
		return err
	}
	return w.cfg.Claimed(ctx, s)
}
