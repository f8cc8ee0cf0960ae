package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store"
)

// spacePlay is a history of a few templates, owners and workspaces.
type spacePlay struct {
	*pair
	now                     time.Time
	orgs, templates, owners []uuid.UUID
	made                    []uuid.UUID
	seen                    []seenWorkspace
	jobs                    []uuid.UUID
	leased                  []leasedEvent
	weekly, daily           *schedule.Cron
}

func alikeWorkspaces(p *pair) {
	k := &spacePlay{pair: p, now: epoch, orgs: p.ids(2), templates: p.ids(3), owners: p.ids(3)}
	var err error
	if k.weekly, err = schedule.Weekly("CRON_TZ=Europe/Berlin 30 9 * * 1-5"); err != nil {
		p.Fatal(err)
	}
	if k.daily, err = schedule.Daily("CRON_TZ=Asia/Kolkata 15 3 * * *"); err != nil {
		p.Fatal(err)
	}
	for range 6 {
		k.putTemplate()
		k.putOwner()
	}
	play(p, k, []func(*spacePlay){
		(*spacePlay).putTemplate, (*spacePlay).putOwner, (*spacePlay).putEngine, (*spacePlay).create, (*spacePlay).create,
		(*spacePlay).commit, (*spacePlay).commit, (*spacePlay).commit, (*spacePlay).commit, (*spacePlay).commit, (*spacePlay).commit,
		(*spacePlay).due, (*spacePlay).due, (*spacePlay).gauges, (*spacePlay).list, (*spacePlay).list, (*spacePlay).builds,
		(*spacePlay).registry, (*spacePlay).claimEvents, (*spacePlay).claimEvents, (*spacePlay).settleEvents, (*spacePlay).pruneEvents,
		(*spacePlay).pruneBuilds, (*spacePlay).admit, (*spacePlay).tick, (*spacePlay).topics, (*spacePlay).zones,
		(*spacePlay).remove, (*spacePlay).forget, (*spacePlay).pass, (*spacePlay).pass,
	})
	k.everything()
}

func (k *spacePlay) pass() { k.now = k.now.Add(time.Duration(k.r.IntN(3600)) * time.Second) }

func (k *spacePlay) hours(n int) time.Duration { return time.Duration(k.r.IntN(n)) * time.Hour }

// shownTemplate is a template with the policies before its own where they are seen.
type shownTemplate struct {
	lifecycle.Template
	Before []lifecycle.Superseded
}

func showTemplate(t lifecycle.Template) shownTemplate {
	shown := shownTemplate{Template: t}
	for s := t.Previous; s != nil; s = s.Previous {
		one := *s
		one.Previous = nil
		shown.Before = append(shown.Before, one)
	}
	shown.Previous = nil
	return shown
}

// shownSnapshot is a snapshot that can be compared as a text.
type shownSnapshot struct {
	lifecycle.Snapshot
	Under shownTemplate
}

func showSnapshots(all []lifecycle.Snapshot) (shown []shownSnapshot) {
	for _, s := range all {
		one := shownSnapshot{s, showTemplate(s.Template)}
		one.Template, one.Workspace.Revision = lifecycle.Template{}, 0
		shown = append(shown, one)
	}
	return shown
}

// seenWorkspace is a workspace as it was at some time. Each store counts its revisions in its own way.
type seenWorkspace struct {
	lifecycle.Snapshot
	got int64 // the revision in the other store
}

// snapshots makes a call that answers with snapshots.
func (k *spacePlay) snapshots(say string, call func(store.Store) ([]lifecycle.Snapshot, error)) (all []lifecycle.Snapshot) {
	k.Helper()
	_, _ = ask(k.pair, say, func(s store.Store) ([]shownSnapshot, error) {
		found, err := call(s)
		if s == k.want {
			all = found
		}
		return showSnapshots(found), err
	})
	return all
}

func (k *spacePlay) load(ids ...uuid.UUID) []lifecycle.Snapshot {
	k.Helper()
	return k.snapshots(fmt.Sprint("Load ", ids), func(s store.Store) ([]lifecycle.Snapshot, error) {
		found, err := s.Load(k.ctx, ids...)
		slices.SortFunc(found, func(a, b lifecycle.Snapshot) int { return bytes.Compare(a.Workspace.ID[:], b.Workspace.ID[:]) })
		return found, err
	})
}

// write makes a call that answers nothing; sometimes an event goes with it.
func (k *spacePlay) write(say string, about uuid.UUID, call func(lifecycle.Writer) error) {
	k.Helper()
	var events []lifecycle.Event
	if k.one(3) {
		events = []lifecycle.Event{{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventTemplateChanged, At: k.now, TemplateID: about, Message: "m"}}
	}
	_, _ = ask(k.pair, say, func(s store.Store) (bool, error) {
		if events == nil {
			return true, call(s)
		}
		return true, call(s.Recording(events...))
	})
}

// template reads one, the zero value if there is none.
func (k *spacePlay) template(id uuid.UUID) (found lifecycle.Template) {
	_, _ = ask(k.pair, fmt.Sprint("Template ", id), func(s store.Store) (shownTemplate, error) {
		t, _, err := s.Template(k.ctx, id)
		if s == k.want {
			found = t
		}
		return showTemplate(t), err
	})
	return found
}

func (k *spacePlay) putTemplate() {
	t := k.template(anyOf(k.pair, k.templates))
	if t.ID == uuid.Nil {
		t = lifecycle.Template{ID: anyOf(k.pair, k.templates), OrganizationID: anyOf(k.pair, k.orgs), Name: "go"}
	}
	if k.one(2) {
		t.ActiveVersionID = k.id()
	}
	if k.one(3) {
		t.Hold = k.hold()
	}
	t.Policy = lifecycle.Policy{
		AllowUserAutostart: true, AllowUserTTL: k.one(2), AutostartDays: schedule.AllDays, DefaultTTL: k.hours(3), ActivityBump: k.hours(2),
		FailureTTL: k.hours(2), TimeTilDormant: k.hours(3) * 24, TimeTilAutodelete: k.hours(2) * 24, RequireActiveVersion: k.one(2),
	}
	if k.one(8) {
		t.Revision += int64(k.r.IntN(3) - 1)
	}
	k.write(fmt.Sprintf("PutTemplate at %s %+v", k.now, showTemplate(t)), t.ID, func(w lifecycle.Writer) error { return w.PutTemplate(k.ctx, k.now, t) })
}

func (k *spacePlay) hold() lifecycle.Hold {
	return lifecycle.Hold{Until: k.around(k.now, 3*time.Hour), Rules: lifecycle.HoldRules(k.r.IntN(3)), By: anyOf(k.pair, []string{"ann", "bob"}), Note: "n"}
}

func (k *spacePlay) putOwner() {
	o := lifecycle.Owner{ID: anyOf(k.pair, k.owners), Name: anyOf(k.pair, []string{"ann", "bob"}), Status: lifecycle.OwnerStatus(k.r.IntN(3))}
	if !k.one(3) {
		o.Status = lifecycle.OwnerActive
	}
	if k.one(2) {
		o.QuietHours = k.daily
	}
	k.write(fmt.Sprintf("PutOwner at %s %+v", k.now, o), o.ID, func(w lifecycle.Writer) error { return w.PutOwner(k.ctx, k.now, o) })
}

func (k *spacePlay) putEngine() {
	var e lifecycle.Engine
	if k.one(2) {
		e.Hold = k.hold()
	}
	if k.one(3) {
		e.DeletionsReleasedUntil = k.around(k.now, time.Hour)
	}
	k.write(fmt.Sprintf("PutEngine at %s %+v", k.now, e), uuid.Nil, func(w lifecycle.Writer) error { return w.PutEngine(k.ctx, k.now, e) })
	_, _ = ask(k.pair, "Engine", func(s store.Store) (lifecycle.Engine, error) { return s.Engine(k.ctx) })
}

func (k *spacePlay) create() {
	var all []lifecycle.Workspace
	for range 1 + k.r.IntN(3) {
		t := k.template(anyOf(k.pair, k.templates))
		w := lifecycle.NewWorkspace(k.id(), t, anyOf(k.pair, k.owners), anyOf(k.pair, []string{"a", "b", "ab", "B", "é"}), k.now)
		switch k.r.IntN(12) {
		case 0:
			w.OwnerID = k.id()
		case 1:
			w.TemplateID = k.id()
		case 2:
			if len(k.made) > 0 {
				w.ID = anyOf(k.pair, k.made)
			}
		}
		w.Managed = k.one(4)
		all = append(all, w)
	}
	k.write(fmt.Sprintf("CreateWorkspaces at %s %+v", k.now, all), all[0].TemplateID, func(w lifecycle.Writer) error { return w.CreateWorkspaces(k.ctx, k.now, all...) })
	for _, w := range all {
		if !slices.Contains(k.made, w.ID) && len(k.load(w.ID)) > 0 {
			k.made = append(k.made, w.ID)
		}
	}
}
