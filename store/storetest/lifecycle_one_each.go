package storetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// testOneEach lists organizations of which each has one workspace: whoever goes from one to the next must not pass over any.
func testOneEach(f *fixture) {
	s := skipUnless[lister](f)
	var want []string
	for i := range 5 {
		t := f.template
		t.ID, t.Revision, t.OrganizationID = uuid.New(), 0, uuid.New()
		f.put(epoch, &t)
		w := f.workspace()
		w.OrganizationID, w.TemplateID, w.Name = t.OrganizationID, t.ID, string(rune('a'+i))
		f.must(s.CreateWorkspaces(f.ctx, epoch, w))
		want = append(want, w.Name)
	}
	found, err := s.List(f.ctx, lifecycle.ListQuery{Order: lifecycle.ListByName, Limit: 10})
	f.must(err)
	var got []string
	for _, s := range found {
		got = append(got, s.Workspace.Name)
	}
	f.rule(slices.Equal(got, want), "a list by name has the workspaces of all organizations: got %q, want %q", got, want)
	counts, err := s.CountStatuses(f.ctx, lifecycle.CountQuery{})
	f.must(err)
	f.rule(counts[lifecycle.StatusNew] == len(want), "a count has the workspaces of all organizations: got %v, want %d", counts, len(want))
}

// testSchedulesReturn takes schedules away and gives them back, as the same value: whoever keeps each once must not mistake one
// for another.
func testSchedulesReturn(f *fixture) {
	all := f.create(3)
	var crons []*schedule.Cron
	for _, text := range []string{"30 9 * * 1-5", "15 8 * * 1-5", "0 7 * * 1-5"} {
		c, err := schedule.Weekly(text)
		f.must(err)
		crons = append(crons, c)
	}
	set := func(i int, c *schedule.Cron) {
		f.Helper()
		change := wakeAt(f.load(all[i].Workspace.ID), epoch)
		change.Workspace.Autostart = c
		f.rule(f.commit(change)[0] == lifecycle.Applied, "a schedule is set")
	}
	set(0, crons[0])
	set(0, nil)
	set(1, crons[1])
	set(2, crons[0])
	set(0, crons[2])
	for i, want := range []*schedule.Cron{crons[2], crons[1], crons[0]} {
		got := f.load(all[i].Workspace.ID).Workspace.Autostart
		f.rule(got.Text() == want.Text(), "a schedule that was given back is the one that was set: got %q, want %q", got.Text(), want.Text())
	}
}

// testRefusalsAreNoOutages makes calls that are wrong, or whose caller has gone. That the database can be reached is not in doubt
// then: whoever waits for an outage to end would wait for ever.
func testRefusalsAreNoOutages(f *fixture) {
	s := f.create(1)[0]
	bad := wakeAt(s, epoch)
	bad.NewBuild, bad.Build.Number = true, 9
	orphan := f.workspace()
	orphan.OwnerID = uuid.New()
	stale := f.template
	stale.Revision = 0
	gone, cancel := context.WithCancel(f.ctx)
	cancel()
	_, wrong := f.s.Commit(f.ctx, epoch, []lifecycle.Change{bad})
	_, canceled := f.s.Commit(gone, epoch, []lifecycle.Change{wakeAt(s, epoch)})
	for what, err := range map[string]error{
		"a change that is wrong":            wrong,
		"a call whose caller has gone":      canceled,
		"a workspace of nobody":             f.s.CreateWorkspaces(f.ctx, epoch, orphan),
		"a template that somebody replaced": f.s.PutTemplate(f.ctx, epoch, stale),
		"an owner with a name that is none": f.s.PutOwner(f.ctx, epoch, lifecycle.Owner{ID: uuid.New(), Name: "\n"}),
	} {
		f.rule(err != nil && !errors.Is(err, lifecycle.ErrUnavailable), "%s is refused, which is no outage: got %v", what, err)
		f.rule(err == nil || !strings.Contains(err.Error(), "%"), "an error is written out: got %v", err)
	}
	_, err := f.s.Due(gone, lifecycle.DueQuery{Now: epoch.Add(time.Hour), Limit: 1})
	f.rule(err != nil && !errors.Is(err, lifecycle.ErrUnavailable), "a caller that has gone is no outage: got %v", err)
}
