package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/memory"
)

// names is the namespace of all ids, so that the same input gives the same ids.
var names = uuid.NewSHA1(uuid.NameSpaceOID, []byte("dormouse quickstart"))

func idOf(format string, args ...any) uuid.UUID {
	return uuid.NewSHA1(names, fmt.Appendf(nil, format, args...))
}

// developer is an owner and the workspace they have at the moment.
type developer struct {
	author
	index    int
	plan     int
	zone     string
	location *time.Location
	owner    uuid.UUID
	sessions []session
	next     int // index of the session that is or comes

	workspace uuid.UUID
	// lives counts the workspaces the developer has had: a deleted one is replaced when they come back.
	lives int
	up    bool
	// upSince is when the workspace was last seen to come up.
	upSince time.Time

	present bool
	// waiting is since when the developer has been waiting for the workspace, zero if they are not.
	waiting time.Time

	waits, interruptions int
	// idleStarts counts the automatic starts since the last session.
	idleStarts int
	// reminder is the stop the developer was warned of last.
	reminder time.Time
	// farewell is the story of the latest deletion.
	farewell *story
}

func (d *developer) name() string {
	if d.lives > 1 {
		return fmt.Sprintf("dev-%d-%d", d.number, d.lives)
	}
	return fmt.Sprintf("dev-%d", d.number)
}

// settle turns authors into developers: each has a home, a template, and the sessions that the commits tell of.
func settle(file string, authors []author, plans int, o options) ([]*developer, error) {
	atlas, err := newAtlas()
	if err != nil {
		return nil, err
	}
	all := make([]*developer, 0, len(authors))
	for i, a := range authors {
		d := &developer{author: a, index: i, plan: i % plans, owner: idOf("owner %d", a.number)}
		if d.zone, err = atlas.home(a.commits); err != nil {
			return nil, fmt.Errorf("%s: developer %d: %w", file, a.number, err)
		}
		if d.location, err = time.LoadLocation(d.zone); err != nil {
			return nil, fmt.Errorf("%s: developer %d: %w", file, a.number, err)
		}
		d.sessions = sessionsOf(a.commits, o.before, o.after)
		all = append(all, d)
	}
	return all, nil
}

// session is a stretch of work.
type session struct{ begin, end time.Time }

// sessionsOf says when somebody was at work: for some time before each commit, which is the end of something, and a
// little after it.
func sessionsOf(commits []time.Time, before, after time.Duration) []session {
	var all []session
	for _, c := range commits {
		s := session{c.UTC().Add(-before), c.UTC().Add(after)}
		if n := len(all); n > 0 && !s.begin.After(all[n-1].end) {
			all[n-1].end = s.end
			continue
		}
		all = append(all, s)
	}
	return all
}

// fleet is the store with its templates, owners and workspaces.
type fleet struct {
	store     *memory.Store
	plans     []plan
	templates []lifecycle.Template
	crons     *schedule.Interner
	byID      map[uuid.UUID]*developer
}

func newFleet(ctx context.Context, plans []plan, now time.Time) (*fleet, error) {
	f := &fleet{store: memory.New(), plans: plans, crons: new(schedule.Interner), byID: map[uuid.UUID]*developer{}}
	for _, p := range plans {
		t := lifecycle.Template{
			ID: idOf("template %s", p.name), OrganizationID: idOf("organization"), Name: p.name,
			ActiveVersionID: idOf("version of %s", p.name), Policy: p.policy,
		}
		f.templates = append(f.templates, t)
		if err := f.store.PutTemplate(ctx, now, t); err != nil {
			return nil, fmt.Errorf("put template %s: %w", p.name, err)
		}
	}
	return f, nil
}

// cron is a daily time in a zone, nil for none.
func (f *fleet) cron(t *timeOfDay, zone string) *schedule.Cron {
	if t == nil {
		return nil
	}
	return f.crons.Weekly("CRON_TZ=" + zone + " " + t.String())
}

// enlist creates the developer as an owner.
func (f *fleet) enlist(ctx context.Context, now time.Time, d *developer) error {
	quiet := f.cron(f.plans[d.plan].quiet, d.zone)
	return f.store.PutOwner(ctx, now, lifecycle.Owner{ID: d.owner, Name: fmt.Sprintf("developer %d", d.number), QuietHours: quiet})
}

// create makes a new workspace for the developer, with what the template gives every new one.
func (f *fleet) create(ctx context.Context, now time.Time, d *developer) error {
	d.lives++
	d.workspace = idOf("workspace %s", d.name())
	f.byID[d.workspace] = d
	t := &f.templates[d.plan]
	return f.store.CreateWorkspaces(ctx, now, lifecycle.Workspace{
		ID: d.workspace, OrganizationID: t.OrganizationID, OwnerID: d.owner, TemplateID: t.ID, Name: d.name(), CreatedAt: now,
		Autostart: f.cron(f.plans[d.plan].autostart, d.zone), TTL: t.Policy.DefaultTTL,
		Autostop: f.cron(f.plans[d.plan].autostop, d.zone),
	})
}

// seeded is a source of random numbers for one purpose: the same seed and purpose give the same numbers, whatever else is
// drawn in between.
func seeded(seed uint64, id uuid.UUID, n int64) *rand.Rand {
	var mix uint64
	for i, b := range id[:] {
		mix ^= uint64(b) << (8 * (i % 8))
	}
	return rand.New(rand.NewPCG(seed^mix, uint64(n)))
}
