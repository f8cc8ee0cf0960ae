package storetest

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

func testCompareAndSwap(f *fixture) {
	all := f.create(3)
	f.commit(wakeAt(all[1], epoch.Add(time.Hour)))
	got := f.commit(wakeAt(all[0], epoch.Add(2*time.Hour)), wakeAt(all[1], epoch.Add(2*time.Hour)), wakeAt(all[2], epoch.Add(2*time.Hour)))
	want := []lifecycle.Outcome{lifecycle.Applied, lifecycle.Conflict, lifecycle.Applied}
	f.rule(slices.Equal(got, want), "outcomes come in the order of the changes, and a conflict keeps no other back: got %v", got)
	for i, wake := range []time.Duration{2, 1, 2} {
		w := f.load(all[i].Workspace.ID).Workspace
		f.rule(w.Revision == 2, "an applied change increases the revision by one: got %d", w.Revision)
		f.rule(w.WakeAt.Equal(epoch.Add(wake*time.Hour)), "a conflict writes nothing: wake %v", w.WakeAt)
	}
	c := wakeAt(f.load(all[0].Workspace.ID), epoch)
	c.Workspace.Revision = 99
	f.commit(c)
	f.rule(f.load(all[0].Workspace.ID).Workspace.Revision == 3, "Workspace.Revision of a change is ignored")

	ahead := wakeAt(f.load(all[2].Workspace.ID), epoch)
	ahead.Revision += 5
	f.rule(f.commit(ahead)[0] == lifecycle.Conflict, "a revision that has not been reached yet is a conflict")

	fixed := wakeAt(f.load(all[0].Workspace.ID), epoch)
	was := fixed.Workspace
	fixed.Workspace.Name, fixed.Workspace.OrganizationID, fixed.Workspace.CreatedAt = "other", uuid.New(), epoch.Add(time.Hour)
	f.commit(fixed)
	now := f.load(was.ID).Workspace
	f.rule(now.Name == was.Name && now.OrganizationID == was.OrganizationID && now.CreatedAt.Equal(was.CreatedAt),
		"Commit keeps name, organization and creation as they are")
}

func testBuilds(f *fixture) {
	s := f.create(1)[0]
	f.commit(f.build(s, lifecycle.TransitionStart))
	s = f.load(s.Workspace.ID)
	f.rule(s.Build.Number == 1 && s.Build.Status == lifecycle.JobPending, "a new build is the latest: got %+v", s.Build)
	f.commit(f.ended(s, lifecycle.JobSucceeded, epoch.Add(time.Minute)))
	s = f.load(s.Workspace.ID)
	f.rule(s.Build.Status == lifecycle.JobSucceeded && s.Build.CompletedAt.Equal(epoch.Add(time.Minute)),
		"a change without NewBuild updates the latest build: got %+v", s.Build)
	f.commit(f.build(s, lifecycle.TransitionStop))
	s = f.load(s.Workspace.ID)
	f.rule(s.Build.Number == 2 && s.Build.Transition == lifecycle.TransitionStop, "the next build follows: got %+v", s.Build)
}

// testBuildLeftAlone changes workspaces, one without a build and one with two, and names no build.
func testBuildLeftAlone(f *fixture) {
	for i, s := range f.create(2) {
		f.fill(s.Workspace.ID, 2*i)
		s = f.load(s.Workspace.ID)
		c := wakeAt(s, epoch.Add(time.Hour))
		c.Build = lifecycle.Build{}
		f.rule(f.commit(c)[0] == lifecycle.Applied, "a change with the zero Build is applied")
		got := f.load(s.Workspace.ID)
		f.rule(got.Workspace.WakeAt.Equal(epoch.Add(time.Hour)), "a change with the zero Build writes the workspace: wakes %v", got.Workspace.WakeAt)
		f.rule(got.Build == s.Build, "a change with the zero Build leaves the latest build alone: got %+v, want %+v", got.Build, s.Build)
	}
}

// testBuildNotLatest changes builds that are not the latest, of a workspace without a build and of one with two.
func testBuildNotLatest(f *fixture) {
	for i, s := range f.create(2) {
		f.fill(s.Workspace.ID, 2*i)
		s = f.load(s.Workspace.ID)
		for _, number := range []int64{s.Build.Number - 1, s.Build.Number + 1} {
			if number < 1 {
				continue
			}
			c := wakeAt(s, epoch.Add(time.Hour))
			c.Build.Number = number
			f.refused(c, s.Build, c)
			f.rule(f.load(s.Workspace.ID) == s, "a change that is refused writes nothing")
			c.Revision--
			f.rule(f.commit(c)[0] == lifecycle.Conflict, "a change of another revision is a conflict, whatever build it names")
		}
	}
}

// testAllOrNothing commits batches of which one change breaks a constraint.
func testAllOrNothing(f *fixture) {
	bad := map[string]func(*lifecycle.Change){
		"a build number that leaves a gap":  func(c *lifecycle.Change) { c.Build.Number = 3 },
		"a build number that exists":        func(c *lifecycle.Change) { c.Build.Number = 1 },
		"a deadline after the max deadline": func(c *lifecycle.Change) { c.Build.Deadline, c.Build.MaxDeadline = epoch.Add(time.Hour), epoch },
		"a max deadline without a deadline": func(c *lifecycle.Change) { c.Build.MaxDeadline = epoch },
		"a build while another is active":   nil,
	}
	for name, spoil := range bad {
		all := f.create(3)
		for _, s := range all {
			f.commit(f.build(s, lifecycle.TransitionStart))
		}
		var changes []lifecycle.Change
		for i, s := range all {
			s = f.load(s.Workspace.ID)
			if i != 1 || spoil != nil {
				f.commit(f.ended(s, lifecycle.JobSucceeded, epoch))
				s = f.load(s.Workspace.ID)
			}
			if i == 1 && spoil == nil {
				s.Build.Status = lifecycle.JobSucceeded // a lie
			}
			changes = append(changes, f.build(s, lifecycle.TransitionStop))
		}
		if spoil != nil {
			spoil(&changes[1])
		}
		f.refused(changes[1], f.load(all[1].Workspace.ID).Build, changes...)
		for _, s := range all {
			f.rule(f.load(s.Workspace.ID).Build.Number == 1, "a commit that fails applies nothing (%s)", name)
		}
		changes[1] = wakeAt(f.load(all[1].Workspace.ID), epoch.Add(time.Hour))
		got := f.commit(changes...)
		f.rule(!slices.Contains(got, lifecycle.Conflict), "the others are applied without the bad change (%s): got %v", name, got)
	}
}

// refused commits a batch, of which one change contradicts the latest build of its workspace.
func (f *fixture) refused(bad lifecycle.Change, latest lifecycle.Build, batch ...lifecycle.Change) {
	f.Helper()
	want := bad.Validate(latest)
	_, err := f.s.Commit(f.ctx, epoch, batch)
	var blame *lifecycle.ChangeError
	if !errors.As(err, &blame) || blame.WorkspaceID != bad.Workspace.ID {
		f.Fatalf("broken rule: a change that Change.Validate refuses is a ChangeError of its workspace: got %v, want %v", err, want)
	}
	f.rule(!errors.Is(err, lifecycle.ErrUnavailable), "a change that is refused does not make the store unavailable: %v", err)
	f.rule(errors.Is(err, lifecycle.ErrBuildActive) == errors.Is(want, lifecycle.ErrBuildActive) && field(err) == field(want),
		"what is refused is refused with the error of Change.Validate: got %v, want %v", err, want)
}

// field is the field that an error is about, "" if it is about none.
func field(err error) string {
	var refused *invalid.Error
	if errors.As(err, &refused) {
		return refused.Field
	}
	return ""
}

// testTwoBad commits a batch with two changes to blame, one of another revision that is bad as well, and one good one.
func testTwoBad(f *fixture) {
	all := f.create(4)
	var changes []lifecycle.Change
	for i, s := range all {
		c := f.build(s, lifecycle.TransitionStart)
		if i < 3 {
			c.Build.Deadline, c.Build.MaxDeadline = epoch.Add(time.Hour), epoch
		}
		changes = append(changes, c)
	}
	changes[0].Revision += 7
	slices.SortFunc(changes[1:3], func(a, b lifecycle.Change) int { return -cmp.Compare(a.Workspace.ID.String(), b.Workspace.ID.String()) })
	f.refused(changes[1], lifecycle.Build{}, changes...)
	got := f.commit(changes[0], changes[3])
	f.rule(got[0] == lifecycle.Conflict && got[1] == lifecycle.Applied, "a change of another revision is a conflict, however wrong: got %v", got)
}

func testHistory(f *fixture) {
	h := skipUnless[lifecycle.History](f)
	s := f.create(1)[0]
	f.fill(s.Workspace.ID, 5)
	all, err := h.Builds(f.ctx, s.Workspace.ID, 0, 10)
	f.must(err)
	f.rule(slices.Equal(numbers(all), []int64{5, 4, 3, 2, 1}), "Builds are listed newest first: got %v", numbers(all))
	page, err := h.Builds(f.ctx, s.Workspace.ID, 4, 2)
	f.must(err)
	f.rule(slices.Equal(numbers(page), []int64{3, 2}), "Builds lists those below a number, up to the limit: got %v", numbers(page))
	for _, before := range []int64{math.MinInt64, -1, math.MaxInt32, math.MaxInt32 + 1, math.MaxInt64} {
		far, err := h.Builds(f.ctx, s.Workspace.ID, before, 10)
		f.must(err)
		f.rule(len(far) == 5, "Builds lists all that are below any number, and all there are if it is none: below %d got %v", before, numbers(far))
	}
	none, err := h.Builds(f.ctx, uuid.New(), 0, 10)
	f.must(err)
	f.rule(len(none) == 0, "an unknown workspace has no builds")
}

// fill gives a workspace n builds that ended, a minute apart.
func (f *fixture) fill(id uuid.UUID, n int) {
	f.Helper()
	for i := range n {
		t := lifecycle.TransitionStart
		if i%2 == 1 {
			t = lifecycle.TransitionStop
		}
		f.commit(f.build(f.load(id), t))
		f.commit(f.ended(f.load(id), lifecycle.JobSucceeded, epoch.Add(time.Duration(i)*time.Minute)))
	}
}

func numbers(builds []lifecycle.Build) []int64 {
	var list []int64
	for _, b := range builds {
		list = append(list, b.Number)
	}
	return list
}

func testPrune(f *fixture) {
	p, h := skipUnless[lifecycle.Pruner](f), skipUnless[lifecycle.History](f)
	all := f.create(2)
	kept, gone := all[0].Workspace.ID, all[1].Workspace.ID
	f.fill(kept, 5) // ended at minutes 0 to 4
	f.fill(gone, 2)
	f.commit(f.build(f.load(gone), lifecycle.TransitionDelete))
	f.commit(f.ended(f.load(gone), lifecycle.JobSucceeded, epoch.Add(2*time.Minute)))
	f.rule(f.load(gone).Workspace.Deleted, "a deleted workspace stays until it is pruned")

	before := epoch.Add(2*time.Minute + time.Second)
	f.rule(f.prune(p, before, 2) == 6, "Prune counts each of five builds, and the workspace with its latest build as one more")
	builds, err := h.Builds(f.ctx, kept, 0, 10)
	f.must(err)
	f.rule(slices.Equal(numbers(builds), []int64{5, 4}), "Prune keeps the latest build and those that are not old: got %v", numbers(builds))
	found, err := f.s.Load(f.ctx, gone)
	f.must(err)
	f.rule(len(found) == 0, "a pruned workspace is gone")
	n := f.prune(p, epoch.AddDate(1, 0, 0), 100)
	f.rule(n == 1 && f.load(kept).Build.Number == 5, "Prune never deletes the latest build of a workspace: deleted %d", n)
}

// prune prunes until it is done and returns what all rounds have counted.
func (f *fixture) prune(p lifecycle.Pruner, before time.Time, limit int) (total int) {
	f.Helper()
	for {
		n, err := p.PruneBuilds(f.ctx, before, limit)
		f.must(err)
		f.rule(n <= limit, "Prune deletes at most its limit: got %d of %d", n, limit)
		total += n
		if n < limit {
			return total
		}
	}
}

// testPruneEndless has builds that never end, or end after the one that follows them: nobody but their workspace can
// take them along.
func testPruneEndless(f *fixture) {
	p, h := skipUnless[lifecycle.Pruner](f), skipUnless[lifecycle.History](f)
	id := f.create(1)[0].Workspace.ID
	for _, end := range []time.Time{{}, epoch.Add(time.Hour)} {
		f.commit(f.build(f.load(id), lifecycle.TransitionStop))
		c := f.ended(f.load(id), lifecycle.JobSucceeded, epoch)
		c.Build.CompletedAt = end
		f.commit(c)
	}
	f.commit(f.build(f.load(id), lifecycle.TransitionDelete))
	before := epoch.Add(time.Minute)
	f.rule(f.prune(p, before, 10) == 0, "Prune keeps builds that have not ended, or not before the instant")
	f.commit(f.ended(f.load(id), lifecycle.JobSucceeded, epoch))
	f.rule(f.prune(p, before, 10) == 1, "Prune counts a workspace as one, whatever is left of its builds")
	left, err := h.Builds(f.ctx, id, 0, 10)
	f.must(err)
	f.rule(len(left) == 0, "a pruned workspace takes all of its builds along: %d are left", len(left))
}

func testList(f *fixture) {
	r := skipUnless[lifecycle.Registry](f)
	all := f.create(7)
	other := f.owner
	other.ID = uuid.New()
	f.must(f.s.PutOwner(f.ctx, epoch, other))
	w := f.workspace()
	w.OwnerID = other.ID
	f.must(f.s.CreateWorkspaces(f.ctx, epoch, w))
	c := wakeAt(all[6], time.Time{})
	c.Workspace.Deleted = true
	f.commit(c)
	list := func(q lifecycle.ListQuery) (found []uuid.UUID) {
		for q.Limit = 2; ; q.After = found[len(found)-1] {
			page, err := r.List(f.ctx, q)
			f.must(err)
			f.rule(len(page) <= 2, "List returns at most Limit rows")
			found = append(found, ids(page)...)
			if len(page) == 0 {
				return found
			}
		}
	}
	want := ids(all[:6])
	f.rule(slices.Equal(list(lifecycle.ListQuery{OwnerID: f.owner.ID}), want), "List by owner, by id, without deleted ones")
	f.rule(slices.Equal(list(lifecycle.ListQuery{TemplateID: f.template.ID}), append(want, w.ID)), "List by template")
	f.rule(slices.Equal(list(lifecycle.ListQuery{}), append(want, w.ID)), "List of everything")
	f.rule(len(list(lifecycle.ListQuery{OwnerID: uuid.New()})) == 0, "List of an unknown owner is empty")
	f.rule(len(list(lifecycle.ListQuery{TemplateID: uuid.New()})) == 0, "List of an unknown template is empty")
	tm, ok, err := r.Template(f.ctx, f.template.ID)
	f.must(err)
	f.rule(ok && tm.ID == f.template.ID, "Template returns what was put")
	_, ok, err = r.Owner(f.ctx, uuid.New())
	f.must(err)
	f.rule(!ok, "an unknown owner is not ok, and no error")
}
