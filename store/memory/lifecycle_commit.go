package memory

import (
	"context"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/workspaces"
)

// Commit implements [lifecycle.Store]. Everything that can be wrong is checked before anything is written.
func (s *Store) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	return s.commit(ctx, now, changes, nil)
}

// CommitMembers implements [workspaces.Committer].
func (s *Store) CommitMembers(ctx context.Context, now time.Time, changes []lifecycle.Change, members []prewarm.Member) ([]lifecycle.Outcome, error) {
	if err := workspaces.Paired(changes, members); err != nil {
		return nil, err
	}
	s.memberStore.mu.Lock()
	defer s.memberStore.mu.Unlock()
	outcomes, err := s.commit(ctx, now, changes, members)
	for i := range outcomes {
		if outcomes[i] == lifecycle.Applied {
			s.put(members[i])
		}
	}
	return outcomes, err
}

// commit applies the changes that are current, and whose member, if there are any, can be written.
func (s *Store) commit(ctx context.Context, now time.Time, changes []lifecycle.Change, members []prewarm.Member) ([]lifecycle.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := lifecycle.ValidateBatch(changes); err != nil {
		return nil, err
	}
	jobs, err := jobsOf(now, changes)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	earliest := s.earliest()
	outcomes, err := s.apply(now, changes, jobs, members)
	sooner := s.earliest() < earliest
	s.mu.Unlock()
	if sooner {
		s.watchers.Notify()
	}
	return outcomes, err
}

func (s *Store) earliest() int64 {
	if b := s.fleet.byWake.blocks; len(b) > 0 {
		return b[0][0].at
	}
	return 1<<63 - 1
}

// jobsOf returns the jobs of the changes, in their order, nil if there is none; a change without a job has nil.
func jobsOf(now time.Time, changes []lifecycle.Change) ([]*job, error) {
	var jobs []*job
	for i := range changes {
		if changes[i].Job == nil {
			continue
		}
		if jobs == nil {
			jobs = make([]*job, len(changes))
		}
		j, err := buildJob(now, changes[i].Job)
		if err != nil {
			return nil, &lifecycle.ChangeError{WorkspaceID: changes[i].Workspace.ID, Err: err}
		}
		jobs[i] = j
	}
	return jobs, nil
}

// buildJob makes the row of a build's job. Encoding the payload costs more than the rest of a commit, and is put off
// until a worker takes the job.
func buildJob(now time.Time, b *lifecycle.Job) (*job, error) {
	if !encodable(b) {
		row, err := buildjobs.JobOf(*b, now)
		return newJobRow(row), err
	}
	row, err := buildjobs.HeaderOf(*b).Job(now)
	if err != nil {
		return nil, fmt.Errorf("job of build %d: %w", b.BuildNumber, err)
	}
	j := newJobRow(row)
	j.build = cloneJob(b)
	return j, nil
}

// encodable reports whether encoding the payload later cannot fail.
func encodable(b *lifecycle.Job) bool {
	y := b.CreatedAt.Year()
	return b.Transition <= lifecycle.TransitionDelete && y > 0 && y < 9999 && len(b.Payload) < queue.MaxPayload/4
}

// apply writes the changes that are current. The caller holds the lock.
func (s *Store) apply(now time.Time, changes []lifecycle.Change, jobs []*job, members []prewarm.Member) ([]lifecycle.Outcome, error) {
	outcomes, slots := make([]lifecycle.Outcome, len(changes)), make([]uint32, len(changes))
	var names map[ownedName]bool // that claims of this batch have taken
	for i := range changes {
		c := &changes[i]
		slot, ok := s.fleet.slots[c.Workspace.ID]
		if ok && members != nil {
			_, _, ok = s.memberStore.pool(members[i].Pool).writable(&members[i])
		}
		if !ok || s.fleet.rows.at(slot).revision != c.Revision {
			outcomes[i] = lifecycle.Conflict
			continue
		}
		slots[i] = slot
		if c.Claims {
			var err error
			if outcomes[i], err = s.claimable(slot, c, names); err != nil {
				return nil, &lifecycle.ChangeError{WorkspaceID: c.Workspace.ID, Err: err}
			}
			if outcomes[i] != lifecycle.Applied {
				continue
			}
			if names == nil {
				names = make(map[ownedName]bool)
			}
			names[nameOf(&c.Workspace)] = true
		}
		if err := c.Validate(s.fleet.latest(slot)); err != nil {
			return nil, &lifecycle.ChangeError{WorkspaceID: c.Workspace.ID, Err: err}
		}
	}
	if len(jobs) > 0 {
		s.jobQueue.mu.Lock()
		defer s.jobQueue.mu.Unlock()
	}
	for i := range changes {
		if outcomes[i] != lifecycle.Applied {
			continue
		}
		s.applyOne(slots[i], &changes[i])
		if changes[i].Job != nil {
			s.insertJob(now, jobs[i])
		}
	}
	return outcomes, nil
}

func (s *Store) applyOne(slot uint32, c *lifecycle.Change) {
	f := &s.fleet
	r := f.rows.at(slot)
	if c.Claims {
		s.handOver(slot, r, &c.Workspace)
	}
	f.write(slot, &c.Workspace)
	f.writeBuild(r, &c.Build, c.NewBuild)
	r.revision++
	for i := range c.Events {
		s.outbox.add(c.Events[i])
	}
}

// latest is what a change is validated against.
func (f *fleet) latest(slot uint32) (b lifecycle.Build) {
	if latest := f.rows.at(slot).build; latest != none {
		b.Number, b.Status = f.builds.at(latest).number, f.builds.at(latest).status
	}
	return b
}
