package sqlite_test

import (
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// admitting are workspaces whose deletions are due, each a little later than the one before.
type admitting struct {
	*pruned
	ids []uuid.UUID
	due []lifecycle.DueDeletion
}

func newAdmitting(t *testing.T, n int) *admitting {
	a := &admitting{pruned: newPruned(t)}
	a.ids = seed(t, a.s, n)
	template, err := a.s.Load(t.Context(), a.ids[0])
	must(t, err)
	for i, id := range a.ids {
		a.due = append(a.due, lifecycle.DueDeletion{WorkspaceID: id, TemplateID: template[0].Workspace.TemplateID, DueAt: killEpoch.Add(time.Duration(i) * time.Second)})
	}
	return a
}

// admits asks for all deletions at a time, and sees that those of some workspaces go, by their places.
func (a *admitting) admits(after time.Duration, b lifecycle.Brake, want ...int) {
	a.Helper()
	got, err := a.s.AdmitDeletions(a.Context(), killEpoch.Add(after), b, slices.Clone(a.due))
	if err != nil {
		a.Errorf("after %v: %v", after, err)
	}
	var places []int
	for _, id := range got {
		places = append(places, slices.Index(a.ids, id))
	}
	slices.Sort(places)
	if !slices.Equal(places, want) {
		a.Errorf("after %v go %v, want %v", after, places, want)
	}
}

// A deletion whose record the host refuses waits, is named, and takes neither the others' time nor their room. It goes once it can.
func TestAdmitDeletionsBesideATriggerOfTheHost(t *testing.T) {
	for how, refusal := range refusals {
		t.Run(how, func(t *testing.T) {
			a := newAdmitting(t, 5)
			a.exec(`CREATE TRIGGER host BEFORE INSERT ON dormouse_deletions WHEN new.workspace_id IN (x'` +
				hex.EncodeToString(a.ids[0][:]) + `', x'` + hex.EncodeToString(a.ids[2][:]) + `') BEGIN ` + refusal + `; END`)
			three := lifecycle.Brake{Max: 3}
			a.admits(0, three, 1, 3, 4)
			if n := rowsOf(t, a.db, "dormouse_deletions"); n != 3 {
				t.Errorf("%d deletions count, want 3", n)
			}
			if said := a.log.String(); strings.Count(said, "deletions cannot be admitted") != 1 || !strings.Contains(said, "rows=2") || !strings.Contains(said, a.ids[0].String()) {
				t.Errorf("log: %s", said)
			}
			a.log.Reset()
			a.admits(30*time.Second, lifecycle.Brake{}, 1, 3, 4)
			if said := a.log.String(); said != "" {
				t.Errorf("said again: %s", said)
			}
			a.exec(`DROP TRIGGER host`)
			a.admits(time.Minute, lifecycle.Brake{}, 0, 1, 2, 3, 4)
		})
	}
}

// An admission that is an hour old and that the host keeps costs no other deletion its place.
func TestAdmitDeletionsBesideOldOnesThatTheHostKeeps(t *testing.T) {
	for how, refusal := range refusals {
		t.Run(how, func(t *testing.T) {
			a := newAdmitting(t, 4)
			two := lifecycle.Brake{Max: 2}
			a.admits(0, two, 0, 1)
			a.exec(`CREATE TRIGGER host BEFORE DELETE ON dormouse_deletions WHEN old.workspace_id = x'` + hex.EncodeToString(a.ids[1][:]) + `' BEGIN ` + refusal + `; END`)
			a.due = a.due[2:]
			a.admits(time.Hour, two, 2, 3)
			if n := rowsOf(t, a.db, "dormouse_deletions"); n != 3 {
				t.Errorf("%d records are left, want the two new ones and the one that is kept", n)
			}
			if said := a.log.String(); how != "says nothing" && (!strings.Contains(said, a.ids[1].String()) || strings.Count(said, "level=WARN") != 1) {
				t.Errorf("log: %s", said)
			}
		})
	}
}

// A deletion that has failed and is due again an hour later asks for room anew, also if its old record is kept.
func TestAdmitDeletionsAgainBesideTheirOldRecords(t *testing.T) {
	for how, refusal := range refusals {
		t.Run(how, func(t *testing.T) {
			a := newAdmitting(t, 4)
			two := lifecycle.Brake{Max: 2}
			a.admits(0, two, 0, 1)
			kept := hex.EncodeToString(a.ids[1][:])
			a.exec(`CREATE TRIGGER host BEFORE DELETE ON dormouse_deletions WHEN old.workspace_id = x'` + kept + `' BEGIN ` + refusal + `; END`)
			a.due[1].DueAt = killEpoch.Add(time.Minute) // behind the others
			a.admits(time.Hour, two, 0, 2)
			a.exec(`UPDATE dormouse_deletions SET at = at - 3600000000 WHERE workspace_id <> x'` + kept + `'`)
			a.due = a.due[1:2]
			a.admits(time.Hour+time.Minute, two, 1)
			a.due = append(a.due, lifecycle.DueDeletion{WorkspaceID: a.ids[3], TemplateID: a.due[0].TemplateID, DueAt: killEpoch})
			a.admits(time.Hour+2*time.Minute, lifecycle.Brake{Max: 1}, 1)
		})
	}
}

// Where everything is refused, a tick tries no more than it may, and ends.
func TestAdmitDeletionsWhereAllAreRefused(t *testing.T) {
	a := newAdmitting(t, 1100)
	a.exec(`CREATE TRIGGER host BEFORE INSERT ON dormouse_deletions BEGIN SELECT RAISE(ABORT, 'kept'); END`)
	all := lifecycle.Brake{Max: math.MaxInt, MaxPerTemplate: math.MaxInt}
	a.admits(0, all)
	if said := a.log.String(); !strings.Contains(said, "rows=1000") {
		t.Errorf("log: %s", said)
	}
	a.log.Reset()
	a.admits(time.Second, all)
	if said := a.log.String(); !strings.Contains(said, "rows=100 ") {
		t.Errorf("log: %s", said)
	}
}
