package main

import (
	"container/heap"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// beat is how often the workspace of somebody at work reports activity.
const beat = 5 * time.Minute

// found is what a developer who begins to work finds.
type found uint8

const (
	foundReady    found = iota
	foundNothing        // the first session: there was no workspace yet
	foundStarting       // an autostart is on its way
	foundStopped
	foundBroken // the last build failed
	foundDormant
	foundDeleted
	foundKinds
)

// expect puts the developer's next session on the agenda.
func (r *replay) expect(d *developer) {
	if d.next < len(d.sessions) {
		r.push(happening{at: d.sessions[d.next].begin, kind: arrives, who: d})
	}
}

func (r *replay) push(h happening) {
	r.mu.Lock()
	defer r.mu.Unlock()
	heap.Push(&r.agenda, h)
}

func (r *replay) arrives(ctx context.Context, d *developer, now time.Time) error {
	s, f, err := r.look(ctx, d)
	if err != nil {
		return err
	}
	d.present, d.idleStarts = true, 0
	r.ledger.arrived(d, f)
	r.tellArrival(d, &s, f, now)
	r.push(happening{at: d.sessions[d.next].end, kind: leaves, who: d})
	if f != foundReady {
		d.waiting = now
		if f != foundNothing {
			d.waits++
		}
	}
	return r.works(ctx, d, now)
}

// look says what the developer finds.
func (r *replay) look(ctx context.Context, d *developer) (lifecycle.Snapshot, found, error) {
	if d.lives == 0 {
		return lifecycle.Snapshot{}, foundNothing, nil
	}
	s, err := r.exec.Load(ctx, d.workspace)
	if err != nil {
		return s, 0, err
	}
	b := &s.Build
	switch {
	case s.Workspace.Deleted || b.Transition == lifecycle.TransitionDelete:
		return s, foundDeleted, nil
	case !s.Workspace.DormantAt.IsZero():
		return s, foundDormant, nil
	case d.up && b.Transition == lifecycle.TransitionStart:
		return s, foundReady, nil
	case b.Transition == lifecycle.TransitionStart && b.Status.Active():
		return s, foundStarting, nil
	case b.Status == lifecycle.JobFailed:
		return s, foundBroken, nil
	default:
		return s, foundStopped, nil
	}
}

// works is a beat of work: activity in a workspace that runs, else a try to get one.
func (r *replay) works(ctx context.Context, d *developer, now time.Time) error {
	if !d.present {
		return nil
	}
	s, f, err := r.look(ctx, d)
	if err != nil {
		return err
	}
	if next := now.Add(beat); next.Before(d.sessions[d.next].end) {
		r.push(happening{at: next, kind: works, who: d})
	}
	if f == foundReady {
		r.exec.Activity(d.workspace, now)
		r.tellActivity(d, &s, now)
		return nil
	}
	return r.open(ctx, d, s, now)
}

// open asks for a workspace by hand: the one there is, or a new one if that is gone.
func (r *replay) open(ctx context.Context, d *developer, s lifecycle.Snapshot, now time.Time) error {
	if d.lives == 0 || s.Workspace.Deleted || s.Build.Transition == lifecycle.TransitionDelete {
		r.turned(d, false, now)
		if err := r.create(ctx, now, d); err != nil {
			return err
		}
	}
	_, err := r.exec.Update(ctx, d.workspace, lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil))
	if errors.Is(err, lifecycle.ErrBuildActive) {
		return nil // it is starting, or about to be down; the end of that job decides
	}
	return err
}

func (r *replay) leaves(d *developer, now time.Time) error {
	d.present = false
	r.ledger.left(d, now)
	d.next++
	r.expect(d)
	return nil
}
