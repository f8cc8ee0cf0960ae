package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// some are ids of workspaces; those made last come more often.
func (k *spacePlay) some(n int) []uuid.UUID {
	recent := k.made[max(0, len(k.made)-8):]
	if k.one(3) {
		recent = k.made
	}
	ids := someOf(k.pair, recent, 1+k.r.IntN(n))
	if k.one(12) {
		ids = append(ids, k.id())
	}
	return ids
}

// look reads some workspaces.
func (k *spacePlay) look(ids []uuid.UUID) []seenWorkspace {
	revisions := map[uuid.UUID]int64{}
	var all []seenWorkspace
	for _, s := range k.load(ids...) {
		all = append(all, seenWorkspace{Snapshot: s})
	}
	found, err := k.got.Load(k.ctx, ids...)
	if err != nil {
		k.Fatal(err)
	}
	for _, s := range found {
		revisions[s.Workspace.ID] = s.Workspace.Revision
	}
	for i := range all {
		all[i].got = revisions[all[i].Workspace.ID]
	}
	return all
}

func (k *spacePlay) commit() {
	var changes, other []lifecycle.Change
	for _, s := range k.look(k.some(4)) {
		i := slices.IndexFunc(k.seen, func(old seenWorkspace) bool { return old.Workspace.ID == s.Workspace.ID })
		if i >= 0 && k.one(6) && !s.Workspace.Deleted { // of a deleted one some stores count more revisions than others
			s = k.seen[i]
		} else {
			k.seen = append(k.seen, s)
		}
		c := k.change(s.Snapshot)
		changes = append(changes, c)
		c.Revision = s.got
		other = append(other, c)
	}
	if len(changes) == 0 {
		return
	}
	_, _ = ask(k.pair, fmt.Sprintf("Commit at %s %+v", k.now, changes), func(s store.Store) ([]lifecycle.Outcome, error) {
		if s == k.want {
			return s.Commit(k.ctx, k.now, changes)
		}
		return s.Commit(k.ctx, k.now, other)
	})
}

// change is what a verb makes of a workspace, or another wake.
func (k *spacePlay) change(s lifecycle.Snapshot) lifecycle.Change {
	c, err := k.verb(&s)(s, k.now)
	if err != nil || c.Revision == 0 {
		c = lifecycle.Change{Revision: s.Workspace.Revision, Workspace: s.Workspace}
		c.Workspace.WakeAt = k.around(k.now, 2*time.Hour)
		if k.one(4) {
			c.Workspace.WakeAt = time.Time{}
		}
	}
	if c.NewBuild {
		c.Build.ID = k.id()
		if k.one(2) {
			c.Job = k.job(&c)
		}
	}
	if len(c.Events) == 0 && k.one(2) {
		e := event(c, lifecycle.Topic(k.r.IntN(3)), "more")
		e.At = k.now
		c.Events = append(c.Events, e)
	}
	return c
}

func (k *spacePlay) job(c *lifecycle.Change) *lifecycle.Job {
	w := &c.Workspace
	k.jobs = append(k.jobs, c.Build.ID)
	return &lifecycle.Job{
		ID: c.Build.ID, OrganizationID: w.OrganizationID, OwnerID: w.OwnerID, WorkspaceID: w.ID, TemplateID: w.TemplateID,
		BuildNumber: c.Build.Number, Transition: c.Build.Transition, Reason: c.Build.Reason, CreatedAt: k.now,
		Tags: map[string]string{"os": "linux"}, Priority: int16(k.r.IntN(2)),
	}
}

func (k *spacePlay) verb(s *lifecycle.Snapshot) lifecycle.Verb {
	b := &s.Build
	switch {
	case b.Status == lifecycle.JobPending && k.one(2):
		return lifecycle.JobStarted(b.ID)
	case b.Status.Active() && !k.one(4):
		status := anyOf(k.pair, []lifecycle.JobStatus{lifecycle.JobSucceeded, lifecycle.JobSucceeded, lifecycle.JobFailed, lifecycle.JobCanceled})
		return lifecycle.JobEnded(lifecycle.JobResult{BuildID: b.ID, Status: status, CompletedAt: k.now, Message: "e", Result: "r"})
	case b.Status.Active():
		return lifecycle.CancelBuild(b.Number)
	case s.Workspace.Managed && k.one(2):
		return lifecycle.Claim(lifecycle.Handover{Owner: k.owner(), Name: anyOf(k.pair, []string{"", "a", "b"}), Autostart: k.weekly})
	}
	switch k.r.IntN(12) {
	case 0, 1, 2:
		return lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil)
	case 3:
		return lifecycle.RequestBuild(lifecycle.TransitionStop, uuid.Nil)
	case 4, 5:
		return lifecycle.RequestBuild(lifecycle.TransitionDelete, uuid.Nil)
	case 6:
		return lifecycle.SetTTL(time.Hour + k.hours(3))
	case 7:
		return lifecycle.MarkDormant(k.one(2))
	case 8:
		return lifecycle.SetHold(k.hold())
	case 9:
		return lifecycle.SetAutostart(k.weekly)
	case 10:
		return lifecycle.Used(k.now)
	}
	return lifecycle.SetAutostop(k.weekly)
}

func (k *spacePlay) owner() lifecycle.Owner {
	id := anyOf(k.pair, k.owners)
	o, _ := ask(k.pair, fmt.Sprint("Owner ", id), func(s store.Store) (lifecycle.Owner, error) {
		o, _, err := s.Owner(k.ctx, id)
		return o, err
	})
	if o.ID == uuid.Nil || k.one(15) {
		o.ID = k.id() // of nobody
	}
	return o
}

func (k *spacePlay) admit() {
	if _, ok := k.got.(lifecycle.Braker); !ok {
		return
	}
	var due []lifecycle.DueDeletion
	for _, s := range k.load(k.some(4)...) {
		due = append(due, lifecycle.DueDeletion{WorkspaceID: s.Workspace.ID, TemplateID: s.Workspace.TemplateID, DueAt: k.around(k.now, time.Minute)})
	}
	b := lifecycle.Brake{Max: k.r.IntN(4), MaxPerTemplate: k.r.IntN(4)}
	_, _ = ask(k.pair, fmt.Sprintf("AdmitDeletions at %s %+v %+v", k.now, b, due), func(s store.Store) ([]uuid.UUID, error) {
		ids, err := s.(lifecycle.Braker).AdmitDeletions(k.ctx, k.now, b, slices.Clone(due))
		slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
		return ids, err
	})
}

func (k *spacePlay) tick() {
	if _, ok := k.got.(lifecycle.Settler); ok {
		_, _ = ask(k.pair, fmt.Sprint("Ticked at ", k.now), func(s store.Store) (time.Time, error) {
			return s.(lifecycle.Settler).Ticked(k.ctx, k.now, 15*time.Minute, time.Hour)
		})
	}
}

func (k *spacePlay) topics() {
	if _, ok := k.got.(lifecycle.Subscriber); ok {
		add, remove := lifecycle.Topics(k.r.IntN(8)), lifecycle.Topics(k.r.IntN(8))
		_, _ = ask(k.pair, fmt.Sprint("ChangeTopics ", add, remove), func(s store.Store) (bool, error) {
			return true, s.(lifecycle.Subscriber).ChangeTopics(k.ctx, add, remove)
		})
	}
}

func (k *spacePlay) zones() {
	if _, ok := k.got.(lifecycle.ZoneKeeper); ok {
		zones, data := someOf(k.pair, []string{"UTC", "Europe/Berlin", "Asia/Kolkata"}, k.r.IntN(3)), int64(k.r.IntN(2))
		_, _ = ask(k.pair, fmt.Sprint("KeepZones at ", k.now, zones, data), func(s store.Store) ([]string, error) {
			changed, err := s.(lifecycle.ZoneKeeper).KeepZones(k.ctx, k.now, zones, func(zone string) int64 { return data * int64(len(zone)%2) })
			slices.Sort(changed)
			return changed, err
		})
	}
}

func (k *spacePlay) remove() {
	if _, ok := k.got.(lifecycle.Remover); !ok || !k.one(3) {
		return
	}
	template, owner := anyOf(k.pair, k.templates), anyOf(k.pair, k.owners)
	_, _ = ask(k.pair, fmt.Sprint("DeleteTemplate ", template), func(s store.Store) (bool, error) {
		return true, s.(lifecycle.Remover).DeleteTemplate(k.ctx, template)
	})
	_, _ = ask(k.pair, fmt.Sprint("DeleteOwner ", owner), func(s store.Store) (bool, error) {
		return true, s.(lifecycle.Remover).DeleteOwner(k.ctx, owner)
	})
}

func (k *spacePlay) forget() {
	if _, ok := k.got.(store.Forgetter); !ok || !k.one(3) {
		return
	}
	who := store.Person{ID: anyOf(k.pair, k.owners), Names: []string{"bob"}, Pseudonym: k.id()}
	if k.one(2) {
		who.Organization = anyOf(k.pair, k.orgs)
	}
	if k.one(6) {
		who.Pseudonym = who.ID // which is refused
	}
	_, _ = ask(k.pair, fmt.Sprintf("Forget %+v", who), func(s store.Store) (bool, error) { return true, s.(store.Forgetter).Forget(k.ctx, who) })
}
