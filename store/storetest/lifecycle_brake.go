package storetest

import (
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// dueDeletions are deletions of workspaces, each due a little later than the one before.
func dueDeletions(all []lifecycle.Snapshot) []lifecycle.DueDeletion {
	due := make([]lifecycle.DueDeletion, len(all))
	for i, s := range all {
		due[i] = lifecycle.DueDeletion{WorkspaceID: s.Workspace.ID, TemplateID: s.Workspace.TemplateID, DueAt: epoch.Add(time.Duration(i) * time.Millisecond)}
	}
	return due
}

// admitted asks which of some deletions may be made.
func (f *fixture) admitted(at time.Time, b lifecycle.Brake, due ...lifecycle.DueDeletion) []uuid.UUID {
	f.Helper()
	ids, err := f.s.(lifecycle.Braker).AdmitDeletions(f.ctx, at, b, slices.Clone(due))
	f.must(err)
	return ids
}

// testBrake has more deletions due than are usual, of two templates.
func testBrake(f *fixture) {
	skipUnless[lifecycle.Braker](f)
	all := f.create(130)
	due := dueDeletions(all)
	slices.Reverse(due)
	got := f.admitted(epoch, lifecycle.Brake{}, due...)
	f.rule(len(got) == 13, "a tenth of the workspaces may be deleted within an hour: got %d of 130", len(got))
	for i, s := range all {
		f.rule(slices.Contains(got, s.Workspace.ID) == (i < 13), "what has been due for longest goes first: workspace %d", i)
	}
	again := dueDeletions(all)
	got = f.admitted(epoch.Add(time.Minute), lifecycle.Brake{}, again...)
	f.rule(len(got) == 13 && slices.Contains(got, all[0].Workspace.ID), "what was admitted keeps its place, and takes no other: got %d", len(got))
	rest := again[13:]
	f.rule(len(f.admitted(epoch.Add(59*time.Minute), lifecycle.Brake{}, rest...)) == 0, "there is no more room within the hour")
	f.rule(len(f.admitted(epoch.Add(time.Hour), lifecycle.Brake{Max: 5}, rest...)) == 5, "after the hour there is, as much as the limit says")
	f.rule(len(f.admitted(epoch.Add(time.Hour), lifecycle.Brake{Max: 7}, rest[5:]...)) == 2, "another limit counts what was admitted under the first")
	f.rule(len(f.admitted(epoch.Add(time.Hour), lifecycle.Brake{Max: 7})) == 0, "nothing due is nothing admitted")
	f.rule(len(f.load(all[0].Workspace.ID).Workspace.Name) > 0 && f.load(all[0].Workspace.ID).Workspace.Revision == all[0].Workspace.Revision, "asking changes no workspace")
}

// testBrakePerTemplate has one template that is about to lose everything beside one that is not.
func testBrakePerTemplate(f *fixture) {
	skipUnless[lifecycle.Braker](f)
	many := f.create(200)
	other := f.template
	other.ID, other.Revision = uuid.New(), 0
	f.put(epoch, &other)
	f.template = other
	few := f.create(20)
	got := f.admitted(epoch, lifecycle.Brake{}, dueDeletions(few)...)
	f.rule(len(got) == 10, "of each template a tenth may be deleted, and at least ten: got %d of 20, of 220 in all", len(got))
	got = f.admitted(epoch, lifecycle.Brake{MaxPerTemplate: 4}, dueDeletions(many)...)
	f.rule(len(got) == 4, "a limit for each template counts the deletions of that one: got %d", len(got))
	got = f.admitted(epoch, lifecycle.Brake{Max: 15, MaxPerTemplate: 100}, dueDeletions(many)[4:]...)
	f.rule(len(got) == 1, "a limit for all counts those of all: got %d beside 14", len(got))
}

// testBrakeReleased lets a person decide.
func testBrakeReleased(f *fixture) {
	skipUnless[lifecycle.Braker](f)
	h := skipUnless[lifecycle.Holder](f)
	all := f.create(30)
	until := epoch.Add(10 * time.Minute)
	f.must(h.PutEngine(f.ctx, epoch, lifecycle.Engine{DeletionsReleasedUntil: until}))
	due := dueDeletions(all)
	f.rule(len(f.admitted(epoch, lifecycle.Brake{}, due[:20]...)) == 20, "while deletions are released, all go")
	f.rule(len(f.admitted(until, lifecycle.Brake{}, due[20:]...)) == 10, "what went then takes no room from later ones")
	f.rule(len(f.admitted(until, lifecycle.Brake{}, due[:1]...)) == 0, "and when they no longer are, the limit is back")
}

// testBrakeRace has many replicas ask at once.
func testBrakeRace(f *fixture) {
	b := skipUnless[lifecycle.Braker](f)
	all := f.create(f.o.Goroutines * 10)
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[uuid.UUID]int{}
	for g := range f.o.Goroutines {
		wg.Go(func() {
			due := dueDeletions(all[g*10 : (g+1)*10])
			for i := range due {
				ids, err := b.AdmitDeletions(f.ctx, epoch, lifecycle.Brake{Max: 17, MaxPerTemplate: 1000}, due[i:i+1])
				if err != nil {
					f.Errorf("unexpected error: %v", err)
				}
				for _, id := range ids {
					mu.Lock()
					seen[id]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	f.rule(len(seen) == 17, "calls at once share one limit: %d were admitted of 17", len(seen))
	due := dueDeletions(all)
	f.rule(len(f.admitted(epoch, lifecycle.Brake{Max: 17, MaxPerTemplate: 1000}, due...)) == 17, "and keep their places")
}

// testTicked has a fleet that ticks, with gaps.
func testTicked(f *fixture) {
	s := skipUnless[lifecycle.Settler](f)
	id := f.create(1)[0].Workspace.ID
	tick := func(at time.Time, want time.Time) {
		f.Helper()
		until, err := s.Ticked(f.ctx, at, time.Minute, 10*time.Minute)
		f.must(err)
		f.rule(until.Equal(want), "a tick at %v settles until %v: got %v", at, want, until)
	}
	revision := f.load(id).Workspace.Revision
	tick(epoch, time.Time{})
	f.rule(f.load(id).Engine.SettleUntil.IsZero(), "the first tick of all settles nothing")
	tick(epoch.Add(3*time.Minute), time.Time{})
	tick(epoch, time.Time{}) // another replica, whose clock is behind
	tick(epoch.Add(6*time.Minute), time.Time{})
	gap := epoch.Add(9*time.Minute + time.Second)
	until := gap.Add(10 * time.Minute)
	tick(gap, until)
	got := f.load(id)
	f.rule(got.Engine.SettleUntil.Equal(until), "every snapshot says until when it settles: got %v", got.Engine.SettleUntil)
	f.rule(got.Workspace.Revision == revision, "what only postpones outdates no decision")
	tick(gap.Add(time.Second), time.Time{})
	f.rule(f.load(id).Engine.SettleUntil.Equal(until), "the tick of the next replica changes nothing")
	if h, ok := f.s.(lifecycle.Holder); ok {
		f.must(h.PutEngine(f.ctx, gap, lifecycle.Engine{Hold: lifecycle.Hold{Until: until.Add(time.Hour)}}))
		e, err := h.Engine(f.ctx)
		f.must(err)
		f.rule(e.SettleUntil.Equal(until), "a hold ends no settling: got %v", e.SettleUntil)
	}
}

// testTickedRace has many replicas tick at once after a gap.
func testTickedRace(f *fixture) {
	s := skipUnless[lifecycle.Settler](f)
	_, err := s.Ticked(f.ctx, epoch, time.Minute, time.Minute)
	f.must(err)
	found := make([]time.Time, f.o.Goroutines)
	var wg sync.WaitGroup
	for g := range found {
		wg.Go(func() {
			var err error
			if found[g], err = s.Ticked(f.ctx, epoch.Add(time.Hour), time.Minute, time.Minute); err != nil {
				f.Errorf("unexpected error: %v", err)
			}
		})
	}
	wg.Wait()
	settled := slices.DeleteFunc(found, time.Time.IsZero)
	f.rule(len(settled) == 1, "of many that tick after a gap, one finds it: %d did", len(settled))
}
