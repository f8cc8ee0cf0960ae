package memory

import (
	"context"
	"time"

	"github.com/dormouse-go/dormouse/store/form"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// build is a build of a workspace and the slot of the one before it.
type build struct {
	id, version           uuid.UUID
	number                int64
	createdAt, endedAt    int64
	deadline, maxDeadline int64
	dueAt, runSince, ttl  int64
	previous              uint32
	transition            lifecycle.Transition
	status                lifecycle.JobStatus
	reason                uint32
}

// reasons numbers the reasons, which are few, so that a build needs no pointer.
type reasons struct {
	numbers map[lifecycle.Reason]uint32
	texts   []lifecycle.Reason
}

func newReasons() reasons {
	return reasons{numbers: map[lifecycle.Reason]uint32{"": 0}, texts: []lifecycle.Reason{""}}
}

func (r *reasons) number(reason lifecycle.Reason) uint32 {
	n, ok := r.numbers[reason]
	if !ok {
		n = uint32(len(r.texts))
		r.numbers[reason] = n
		r.texts = append(r.texts, reason)
	}
	return n
}

func (b *build) write(v *lifecycle.Build, reason uint32) {
	b.id, b.version, b.number = v.ID, v.TemplateVersionID, v.Number
	b.createdAt, b.endedAt = micros(v.CreatedAt), micros(v.CompletedAt)
	b.deadline, b.maxDeadline = micros(v.Deadline), micros(v.MaxDeadline)
	b.dueAt, b.runSince, b.ttl = micros(v.DueAt), micros(v.RunSince), int64(v.TTL)
	b.transition, b.status, b.reason = v.Transition, v.Status, reason
}

func (b *build) readInto(v *lifecycle.Build, reasons *reasons) {
	v.ID, v.TemplateVersionID, v.Number = b.id, b.version, b.number
	v.CreatedAt, v.CompletedAt = instant(b.createdAt), instant(b.endedAt)
	v.Deadline, v.MaxDeadline = instant(b.deadline), instant(b.maxDeadline)
	v.DueAt, v.RunSince, v.TTL = instant(b.dueAt), instant(b.runSince), time.Duration(b.ttl)
	v.Transition, v.Status, v.Reason = b.transition, b.status, reasons.texts[b.reason]
}

// outcome is who asked for a build, and what became of it.
type outcome struct{ initiator, failure, result string }

func outcomeOf(v *lifecycle.Build) outcome {
	return outcome{form.Text(v.Initiator), form.Text(v.Error), form.Text(v.Result)}
}

// readBuild reads the build of a slot.
func (f *fleet) readBuild(slot uint32, v *lifecycle.Build) {
	f.builds.at(slot).readInto(v, &f.reasons)
	o := f.outcomes[slot]
	v.Initiator, v.Error, v.Result = o.initiator, o.failure, o.result
}

// removeBuild forgets the build of a slot.
func (f *fleet) removeBuild(slot uint32) {
	delete(f.outcomes, slot)
	f.builds.remove(slot)
}

// writeBuild stores the latest build of a workspace: a new one, or the one it has. The zero build leaves that alone.
func (f *fleet) writeBuild(r *row, v *lifecycle.Build, isNew bool) {
	if v.Number == 0 {
		return
	}
	if isNew {
		slot := f.builds.add()
		f.builds.at(slot).previous = r.build
		r.build = slot
	}
	f.builds.at(r.build).write(v, f.reasons.number(lifecycle.Reason(form.Text(string(v.Reason)))))
	if o := outcomeOf(v); o != (outcome{}) {
		f.outcomes[r.build] = o
	} else {
		delete(f.outcomes, r.build)
	}
}

// Builds implements [lifecycle.History].
func (s *Store) Builds(ctx context.Context, workspace uuid.UUID, before int64, limit int) ([]lifecycle.Build, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f := &s.fleet
	slot, ok := f.slots[workspace]
	if !ok {
		return nil, ctx.Err()
	}
	var found []lifecycle.Build
	for b := f.rows.at(slot).build; b != none && len(found) < limit; b = f.builds.at(b).previous {
		if before <= 0 || f.builds.at(b).number < before {
			found = append(found, lifecycle.Build{})
			f.readBuild(b, &found[len(found)-1])
		}
	}
	return found, ctx.Err()
}

// PruneBuilds implements [lifecycle.Pruner]. It looks at every workspace.
func (s *Store) PruneBuilds(ctx context.Context, before time.Time, limit int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, cut := 0, micros(before)
	for id, slot := range s.fleet.slots {
		r := s.fleet.rows.at(slot)
		if r.flags&deleted != 0 && r.build != none && s.fleet.builds.at(r.build).endedAt < cut {
			n += s.forget(id, slot, r, cut, limit-n)
		} else if r.build != none {
			n += s.fleet.cut(s.fleet.builds.at(r.build), cut, limit-n)
		}
		if n >= limit {
			break
		}
	}
	s.fleet.compactNames()
	return n, ctx.Err()
}

// cut deletes builds before the latest one that ended before an instant, and returns how many.
func (f *fleet) cut(latest *build, before int64, limit int) int {
	n := 0
	for b := latest; b.previous != none && n < limit; {
		slot := b.previous
		old := f.builds.at(slot)
		if old.endedAt >= before || old.endedAt == never {
			b = old
			continue
		}
		b.previous = old.previous
		f.removeBuild(slot)
		n++
	}
	return n
}

// forget deletes the old builds of a deleted workspace and then the workspace, with what is left of its builds.
func (s *Store) forget(id uuid.UUID, slot uint32, r *row, before int64, limit int) int {
	f := &s.fleet
	n := f.cut(f.builds.at(r.build), before, limit)
	if n == limit {
		return n
	}
	s.removeWorkspace(id, slot, r)
	return n + 1
}

// removeWorkspace removes a workspace with its builds.
func (s *Store) removeWorkspace(id uuid.UUID, slot uint32, r *row) {
	f := &s.fleet
	for b := r.build; b != none; {
		previous := f.builds.at(b).previous
		f.removeBuild(b)
		b = previous
	}
	f.unlink(&s.owners.rows[r.owner].members, slot, ofOwner)
	f.unlink(&s.templates.rows[r.template].members, slot, ofTemplate)
	f.names.forget(r.name)
	f.crons.swap(r.autostart, nil)
	f.crons.swap(r.autostop, nil)
	f.reindex(slot, r, never, true)
	delete(f.backoffs, slot)
	delete(f.restraints, slot)
	delete(f.slots, id)
	f.rows.remove(slot)
}
