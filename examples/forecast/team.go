package main

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/schedule"
)

// now is a Monday, monthAgo four weeks before; people are known for twelve weeks.
var (
	now      = time.Date(2026, 6, 8, 5, 0, 0, 0, time.UTC)
	monthAgo = now.AddDate(0, 0, -28)
	known    = now.AddDate(0, 0, -84)
)

const people = 60

// team is a template with a workspace for each of some people, and when they worked.
type team struct {
	seed    uint64
	policy  lifecycle.Policy
	members []forecast.Member
	pasts   []forecast.Past
	crons   schedule.Interner
}

var zones = []string{"Europe/Berlin", "Europe/Berlin", "America/New_York", "Asia/Kolkata"}

func newTeam(seed uint64) *team {
	t := &team{seed: seed, policy: lifecycle.Policy{
		DefaultTTL: 9 * time.Hour, ActivityBump: time.Hour, AllowUserAutostart: true,
		AutostartDays: schedule.AllDays &^ schedule.DaysOf(time.Saturday, time.Sunday), ReminderLead: 30 * time.Minute,
		TimeTilDormant: 21 * 24 * time.Hour, TimeTilAutodelete: 30 * 24 * time.Hour, FailureTTL: time.Hour, StartRetry: lifecycle.StartRetry{Max: 2},
	}}
	for n := range people {
		t.join(n, rand.New(rand.NewPCG(seed, uint64(n))))
	}
	return t
}

func id(kind string, n int) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, kind, n))
}

func (t *team) template() lifecycle.Template {
	return lifecycle.Template{ID: id("template", 0), Name: "go", Policy: t.policy, ActiveVersionID: id("version", 0)}
}

// join adds somebody with habits of their own: the hour at which they begin, how long they work, on how many days.
func (t *team) join(n int, r *rand.Rand) {
	zone := zones[n%len(zones)]
	loc, err := time.LoadLocation(zone)
	if err != nil {
		loc = time.UTC // a machine without time zones
	}
	begin, hours, often := 8+r.Float64()*2.5, 3+r.Float64()*6, 0.3+0.7*r.Float64()
	var sessions []forecast.Session
	for day := known; day.Before(now); day = day.AddDate(0, 0, 1) {
		if d := day.In(loc).Weekday(); d == time.Saturday || d == time.Sunday || r.Float64() > often {
			continue
		}
		y, m, d := day.In(loc).Date()
		from := time.Date(y, m, d, 0, 0, 0, 0, loc).Add(time.Duration((begin + 0.3*r.NormFloat64()) * float64(time.Hour))).Truncate(time.Minute)
		sessions = append(sessions, forecast.Session{Begin: from.UTC(), End: from.Add(time.Duration(hours * float64(time.Hour))).UTC()})
	}
	w := lifecycle.NewWorkspace(id("workspace", n), t.template(), id("owner", n), fmt.Sprintf("dev-%02d", n+1), known)
	w.Autostart = t.crons.Weekly("CRON_TZ=" + zone + " 0 9 * * 1-5")
	s := lifecycle.Snapshot{
		Workspace: w, Owner: lifecycle.Owner{ID: w.OwnerID}, Template: t.template(),
		Build: lifecycle.Build{
			Number: 1, TemplateVersionID: id("version", 0), Transition: lifecycle.TransitionStop, Status: lifecycle.JobSucceeded,
			Reason: lifecycle.ReasonManual, CreatedAt: known, CompletedAt: known,
		},
	}
	t.members = append(t.members, forecast.Member{Snapshot: t.at(s, sessions, known, now), Sessions: sessions})
	t.pasts = append(t.pasts, forecast.Past{Who: w.ID, Location: loc, Sessions: sessions})
}

// at is a workspace after some time, as a store would have it by then.
func (t *team) at(s lifecycle.Snapshot, sessions []forecast.Session, from, until time.Time) lifecycle.Snapshot {
	end, err := forecast.Project(s, from, until, forecast.Assumptions{Build: t.builds, Work: forecast.Recorded(sessions)})
	if err != nil {
		return s
	}
	return end
}

// fleet is what a store returns of the template.
func (t *team) fleet() []lifecycle.Snapshot {
	var all []lifecycle.Snapshot
	for _, m := range t.members {
		all = append(all, m.Snapshot)
	}
	return all
}

// lastMonth is the workspaces as they rested a month ago, and what their people did since.
func (t *team) lastMonth() iter.Seq[forecast.Member] {
	return func(yield func(forecast.Member) bool) {
		for _, m := range t.members {
			w, b := &m.Snapshot.Workspace, &m.Snapshot.Build
			w.LastUsedAt, w.AutostartAfter, w.DormantAt, w.DeletingAt = monthAgo, monthAgo, time.Time{}, time.Time{}
			*b = lifecycle.Build{
				Number: 1, TemplateVersionID: b.TemplateVersionID, Transition: lifecycle.TransitionStop,
				Status: lifecycle.JobSucceeded, CreatedAt: monthAgo, CompletedAt: monthAgo,
			}
			if !yield(m) {
				return
			}
		}
	}
}

// learn learns from what was recorded before an instant.
func (t *team) learn(until time.Time) *forecast.Behavior {
	return forecast.Learn(until, slices.Values(t.pasts), slices.Values([]lifecycle.Build(nil)))
}

// candidates are policies for the same people.
func (t *team) candidates() ([]forecast.Candidate, error) {
	all := []forecast.Candidate{{Name: "as it is: from 09:00 for 9 h"}}
	for _, run := range []time.Duration{2, 4, 6, 12} {
		p := t.policy
		p.DefaultTTL = run * time.Hour
		c, err := forecast.WithPolicy(fmt.Sprintf("from 09:00 for %d h", run), p, monthAgo)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return append(all, forecast.Candidate{Name: "by hand", Set: func(s *lifecycle.Snapshot) {
		s.Workspace.Autostart, s.Template.Policy.DefaultTTL = nil, time.Hour
	}}), nil
}

// builds draws how jobs go: about a minute and a quarter, and one in fifty fails.
func (t *team) builds(s lifecycle.Snapshot) forecast.Outcome {
	r := rand.New(rand.NewPCG(t.seed, uint64(s.Build.Number)<<8|uint64(s.Workspace.ID[0])))
	o := forecast.Outcome{Took: time.Duration(45+r.IntN(60)) * time.Second, Status: lifecycle.JobSucceeded}
	if r.IntN(50) == 0 {
		o.Status = lifecycle.JobFailed
	}
	return o
}

// careless are workspaces whose settings do not do what their owners mean.
func (t *team) careless() []lifecycle.Snapshot {
	night, early, weekend := t.members[1].Snapshot, t.members[2].Snapshot, t.members[3].Snapshot
	night.Workspace.Name, night.Workspace.Autostart = "backup", t.crons.Weekly("CRON_TZ=Europe/Berlin 30 2 * * 0")
	night.Template.Policy.AutostartDays = schedule.AllDays
	early.Workspace.Name, early.Workspace.Autostop = "office", t.crons.Weekly("CRON_TZ=America/New_York 0 21 * * 1-5")
	weekend.Workspace.Name, weekend.Workspace.Autostart = "hobby", t.crons.Weekly("CRON_TZ=Asia/Kolkata 0 10 * * 6,0")
	return []lifecycle.Snapshot{night, early, weekend}
}
