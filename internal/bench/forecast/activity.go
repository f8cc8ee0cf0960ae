// Package forecast measures what is foretold against what was recorded: half a year of the commits of 1,383 developers.
package forecast

import (
	"encoding/csv"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/schedule"
)

// developer is somebody whose commits were recorded.
type developer struct {
	id       uuid.UUID
	commits  []time.Time
	home     *time.Location
	sessions []forecast.Session
}

// The work around a commit, as the quickstart assumes it.
const before, after = 45 * time.Minute, 15 * time.Minute

// load reads the recorded activity of the quickstart.
func load() ([]developer, error) {
	file, err := find("examples/quickstart/activity.csv")
	if err != nil {
		return nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	commits := map[int][]time.Time{}
	for _, row := range rows[1:] {
		n, err := strconv.Atoi(row[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		at, err := time.Parse(time.RFC3339, row[1])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		commits[n] = append(commits[n], at)
	}
	return settle(commits)
}

// find looks for a file of the repository from the current folder upwards.
func find(name string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if file := filepath.Join(dir, name); exists(file) {
			return file, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s: not found from the current folder upwards", name)
		}
		dir = filepath.Dir(dir)
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// settle gives everybody a home and sessions, in the order of their numbers.
func settle(commits map[int][]time.Time) ([]developer, error) {
	homes, err := loadHomes()
	if err != nil {
		return nil, err
	}
	var all []developer
	for n := range slices.Max(slices.Collect(keys(commits))) + 1 {
		if at := commits[n]; len(at) > 0 {
			slices.SortFunc(at, time.Time.Compare)
			all = append(all, developer{
				id: uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "developer %d", n)), commits: at, home: homes.of(at),
				sessions: forecast.Sessions(at, before, after),
			})
		}
	}
	return all, nil
}

func keys[V any](m map[int]V) func(func(int) bool) {
	return func(yield func(int) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// homes are zones somebody may live in, the likelier ones first.
type homes []*time.Location

func loadHomes() (homes, error) {
	var all homes
	for _, name := range []string{
		"Europe/Berlin", "America/New_York", "America/Los_Angeles", "Europe/London", "Asia/Kolkata", "Asia/Shanghai", "America/Chicago",
		"America/Denver", "Europe/Athens", "America/Sao_Paulo", "Asia/Tokyo", "Australia/Sydney", "UTC", "Europe/Istanbul",
		"Asia/Jerusalem", "Africa/Lagos", "Africa/Johannesburg", "America/Bogota", "America/Phoenix", "America/Halifax", "Asia/Karachi",
		"Asia/Jakarta", "Asia/Dubai", "Asia/Dhaka", "Australia/Brisbane", "Pacific/Auckland", "Asia/Tehran", "Asia/Kathmandu",
		"Asia/Yangon", "Australia/Adelaide", "America/St_Johns", "America/Anchorage", "Pacific/Honolulu",
	} {
		loc, err := time.LoadLocation(name)
		if err != nil {
			return nil, err
		}
		all = append(all, loc)
	}
	return all, nil
}

// of is the zone whose clock agrees with most of the commits, UTC if none ever does.
func (h homes) of(commits []time.Time) *time.Location {
	home, best := time.UTC, 0
	for _, loc := range h {
		agreed := 0
		for _, c := range commits {
			_, own := c.Zone()
			if _, there := c.In(loc).Zone(); there == own {
				agreed++
			}
		}
		if agreed > best {
			home, best = loc, agreed
		}
	}
	return home
}

// The half year that is recorded, learned from, and tested on.
var (
	begins = time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	learnt = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	ends   = time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)
)

const day = 24 * time.Hour

// plan is a template of the quickstart.
type plan struct {
	name                string
	policy              lifecycle.Policy
	autostart, autostop string // the fields, daily
	quiet               string
}

var plans = []plan{
	{"roomy", lifecycle.Policy{
		AutostartDays: workdays, AllowUserAutostart: true, Requirement: schedule.Requirement{Days: schedule.AllDays},
		ActivityBump: time.Hour, StartRetry: lifecycle.StartRetry{Max: 3},
		FailureTTL: 2 * time.Hour, TimeTilDormant: 60 * day, TimeTilAutodelete: 60 * day,
	}, "0 8 * * *", "0 20 * * *", "0 3 * * *"},
	{"balanced", lifecycle.Policy{
		AutostartDays: workdays, AllowUserAutostart: true, DefaultTTL: 4 * time.Hour, ActivityBump: time.Hour,
		Requirement: schedule.Requirement{Days: schedule.DaysOf(time.Saturday)}, ReminderLead: 30 * time.Minute,
		StartRetry: lifecycle.StartRetry{Max: 3},
		FailureTTL: time.Hour, TimeTilDormant: 21 * day, TimeTilAutodelete: 45 * day, Jitter: 10 * time.Minute, MaxLateness: 3 * time.Hour,
	}, "0 9 * * *", "", "0 3 * * *"},
	{"frugal", lifecycle.Policy{
		DefaultTTL: 90 * time.Minute, ActivityBump: time.Hour, ReminderLead: 15 * time.Minute,
		FailureTTL: 30 * time.Minute, TimeTilDormant: 7 * day, TimeTilAutodelete: 21 * day,
	}, "", "", ""},
}

const workdays = schedule.Days(0x1f)

var crons schedule.Interner

// member is the workspace that a developer has under a plan, made when they come first.
func (d *developer) member(p *plan) forecast.Member {
	t := lifecycle.Template{
		ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(p.name)), Name: p.name, Policy: p.policy,
		ActiveVersionID: uuid.NewSHA1(uuid.NameSpaceOID, []byte("version of "+p.name)),
	}
	s := lifecycle.Snapshot{
		Workspace: lifecycle.NewWorkspace(d.id, t, d.id, "dev", d.sessions[0].Begin),
		Owner:     lifecycle.Owner{ID: d.id}, Template: t,
	}
	if p.autostart != "" {
		s.Workspace.Autostart = crons.Weekly("CRON_TZ=" + d.home.String() + " " + p.autostart)
	}
	if p.autostop != "" {
		s.Workspace.Autostop = crons.Weekly("CRON_TZ=" + d.home.String() + " " + p.autostop)
	}
	if p.quiet != "" {
		s.Owner.QuietHours = crons.Daily("CRON_TZ=" + d.home.String() + " " + p.quiet)
	}
	return forecast.Member{Snapshot: s, Sessions: d.sessions}
}

// dealt gives the developers the plans in turn, as the quickstart does.
func dealt(all []developer) []forecast.Member {
	var members []forecast.Member
	for i := range all {
		members = append(members, all[i].member(&plans[i%len(plans)]))
	}
	return members
}

// builds draws how jobs go: half near the median, with a long tail, and two in a hundred starts fail.
func builds(s lifecycle.Snapshot) forecast.Outcome {
	r := rand.New(rand.NewPCG(hash(s.Workspace.ID), uint64(s.Build.Number)))
	median, fail := 75.0, 0.02
	switch s.Build.Transition {
	case lifecycle.TransitionStop:
		median, fail = 25, 0.01
	case lifecycle.TransitionDelete:
		median, fail = 35, 0.04
	}
	o := forecast.Outcome{Status: lifecycle.JobSucceeded}
	o.Took = time.Duration(1+r.IntN(6))*time.Second + time.Duration(median*math.Exp(0.5*r.NormFloat64())*float64(time.Second)).Truncate(time.Millisecond)
	if r.Float64() < fail {
		o.Status = lifecycle.JobFailed
	}
	return o
}

func hash(id uuid.UUID) uint64 {
	var h uint64
	for i, b := range id[:] {
		h ^= uint64(b) << (8 * (i % 8))
	}
	return h
}
