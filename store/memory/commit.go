package memory

import (
	"context"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// Commit implements [lifecycle.Store]. Everything that can be wrong is checked before anything is written.
func (s *Store) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	jobs, err := jobsOf(now, changes)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	earliest := s.earliest()
	outcomes, err := s.apply(now, changes, jobs)
	sooner := s.earliest() < earliest
	s.mu.Unlock()
	if sooner {
		s.watchers.call()
	}
	return outcomes, err
}

func (s *Store) earliest() int64 {
	if b := s.fleet.byWake.blocks; len(b) > 0 {
		return b[0][0].at
	}
	return 1<<63 - 1
}

// jobsOf returns the rows of the jobs of the changes, in their order; a change without a job has a zero row.
func jobsOf(now time.Time, changes []lifecycle.Change) ([]acquirer.Job, error) {
	var jobs []acquirer.Job
	for i := range changes {
		if changes[i].Job == nil {
			continue
		}
		if jobs == nil {
			jobs = make([]acquirer.Job, len(changes))
		}
		p, err := store.PostingOf(*changes[i].Job)
		if err == nil {
			jobs[i], err = p.Job(now)
		}
		if err != nil {
			return nil, &lifecycle.ChangeError{WorkspaceID: changes[i].Workspace.ID, Err: err}
		}
	}
	return jobs, nil
}

// apply writes the changes that are current. The caller holds the lock.
func (s *Store) apply(now time.Time, changes []lifecycle.Change, jobs []acquirer.Job) ([]lifecycle.Outcome, error) {
	outcomes := make([]lifecycle.Outcome, len(changes))
	for i := range changes {
		c := &changes[i]
		slot, ok := s.fleet.slots[c.Workspace.ID]
		if !ok || s.fleet.rows.at(slot).revision != c.Revision {
			outcomes[i] = lifecycle.Conflict
			continue
		}
		if err := s.fleet.check(slot, c); err != nil {
			return nil, &lifecycle.ChangeError{WorkspaceID: c.Workspace.ID, Err: err}
		}
	}
	var rows []acquirer.Job
	for i := range changes {
		if outcomes[i] != lifecycle.Applied {
			continue
		}
		s.applyOne(&changes[i])
		if changes[i].Job != nil {
			rows = append(rows, jobs[i])
		}
	}
	if len(rows) > 0 {
		s.jobQueue.insert(now, rows)
	}
	return outcomes, nil
}

func (s *Store) applyOne(c *lifecycle.Change) {
	f := &s.fleet
	slot := f.slots[c.Workspace.ID]
	r := f.rows.at(slot)
	f.write(slot, &c.Workspace)
	f.writeBuild(r, &c.Build, c.NewBuild)
	r.revision++
	for i := range c.Events {
		s.outbox.add(c.Events[i])
	}
}

// check holds what the tables of a database hold by their constraints.
func (f *fleet) check(slot uint32, c *lifecycle.Change) error {
	var number int64
	active := false
	if latest := f.rows.at(slot).build; latest != none {
		number, active = f.builds.at(latest).number, f.builds.at(latest).status.Active()
	}
	b := &c.Build
	switch {
	case c.NewBuild && b.Number != number+1:
		return fmt.Errorf("build number %d: must be %d, one more than the latest", b.Number, number+1)
	case c.NewBuild && active:
		return fmt.Errorf("build number %d: build %d is still active", b.Number, number)
	case !c.NewBuild && b.Number != number:
		return fmt.Errorf("build number %d: must be %d, the latest", b.Number, number)
	case !b.MaxDeadline.IsZero() && (b.Deadline.IsZero() || b.Deadline.After(b.MaxDeadline)):
		return fmt.Errorf("deadline %v: must be set and not after the max deadline %v", b.Deadline, b.MaxDeadline)
	}
	return nil
}
