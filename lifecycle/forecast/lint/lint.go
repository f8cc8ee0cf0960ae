// Package lint warns of settings that will not do what their author means: schedules that never fire or fire in a gap of the
// clock, stops right after starts, deletions that nobody is told of, herds. It is for the moment at which a setting is written:
// [Change] says what a verb adds, [Plan] what a policy plan does, [Workspace] and [Fleet] what there is.
//
// It runs the rules on the settings instead of reading them, so it knows no rule of its own, and it refuses nothing. Like
// package forecast it is pure.
package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/text"
	"github.com/dormouse-go/dormouse/schedule"
)

// Warning is a setting that will not do what its author means. It is a value for plans, pages and pull requests; nothing
// is refused because of it.
type Warning struct {
	Code Code `json:"code"`
	// Setting is named as in Go: "Workspace.Autostart", "Policy.Jitter". Value is what it is.
	Setting string `json:"setting"`
	Value   string `json:"value,omitempty"`
	// Problem says what will happen, Cure what to write instead.
	Problem string `json:"problem"`
	Cure    string `json:"cure"`
	// At is when it happens first, zero if it has no instant.
	At time.Time `json:"at,omitzero"`
}

// String returns the warning in one line.
func (w Warning) String() string {
	value := ""
	if w.Value != "" {
		value = fmt.Sprintf(" (%s)", w.Value)
	}
	return fmt.Sprintf("%s%s: %s; %s [%s]", w.Setting, value, w.Problem, w.Cure, w.Code)
}

// Warnings are values for JSON, in the order in which they were found; empty is good.
type Warnings []Warning

// Text is one line for each.
func (all Warnings) Text() string {
	var b strings.Builder
	for _, w := range all {
		b.WriteString(w.String() + "\n")
	}
	return b.String()
}

// Code is the kind of a warning. The codes do not change from version to version, the texts may.
type Code string

// The codes.
const (
	// NeverFires: the setting has no effect.
	NeverFires Code = "never_fires"
	// ForbiddenDays: the schedule names days on which the template allows no start.
	ForbiddenDays Code = "forbidden_days"
	// ClockGap: a clock change skips the time, so the start moves or is left out.
	ClockGap Code = "clock_gap"
	// ClockRepeat: a clock change shows the time twice, and it fires twice.
	ClockRepeat Code = "clock_repeat"
	// StopsAfterStart: the workspace stops right after its autostart.
	StopsAfterStart Code = "stops_after_start"
	// ShorterThanBuild: it stops sooner than its start takes.
	ShorterThanBuild Code = "shorter_than_build"
	// DeletesUntold: it is deleted before its owner can have read the notice.
	DeletesUntold Code = "deletes_untold"
	// NoWorker: nobody is able to run its builds.
	NoWorker Code = "no_worker"
	// Herd: more builds begin in a minute than workers can take.
	Herd Code = "herd"
	// StopsEarly: a run that the schedule starts ends before the time of day at which it is to stop.
	StopsEarly Code = "stops_early"
	// RemindsAtOnce: the owner is reminded of the stop as soon as the workspace is up.
	RemindsAtOnce Code = "reminds_at_once"
	// DormantBeforeStart: it goes dormant between two of its starts, though it is used in each run.
	DormantBeforeStart Code = "dormant_before_start"
	// DeletesBeforeStart: it is deleted between two of its starts.
	DeletesBeforeStart Code = "deletes_before_start"
	// Braked: more deletions are due within an hour than the brake lets through.
	Braked Code = "braked"
)

// Limits of what passes without a warning.
const (
	// rightAfter is how short a run after an autostart is that nobody means.
	rightAfter = 15 * time.Minute
	// reading is how long an owner needs to read a notice.
	reading = 24 * time.Hour
	// ahead is how far ahead is looked. Each zone that changes its clock does so within, and what does not happen within
	// counts as never.
	ahead = 400 * 24 * time.Hour
)

// Config is what [Workspace] cannot see in a snapshot. The zero value checks what can be checked without it.
type Config struct {
	// Build says how jobs go, as in [forecast.Assumptions]. Defaults to success after a minute.
	Build func(lifecycle.Snapshot) forecast.Outcome
	// Tags are the tags of the workspace's builds, and CanRun reports whether any worker is able to run builds with given
	// tags. nil: not checked.
	Tags   map[string]string
	CanRun func(tags map[string]string) bool
	// Capacity is how many builds workers can begin in a minute, Planned how many builds of others are due in the minute
	// that begins at an instant (see [Planned]). 0 or nil: not checked.
	Capacity int
	Planned  func(minute time.Time) int
	// Brake is the bound on deletions within an hour that the executor has, for [Fleet].
	Brake lifecycle.Brake
}

// Workspace says what in the settings of a workspace, its template and its owner will not do what it seems to: the workspace
// as a verb or a policy plan would leave it. The answer does not depend on what the workspace does at the moment. Deleted
// workspaces and those that something else manages have no warnings.
//
// It runs the rules on the settings instead of reading them: what it names as the cause is what, changed, cures it.
func Workspace(s lifecycle.Snapshot, now time.Time, c Config) Warnings {
	if s.Workspace.Deleted || s.Workspace.Managed {
		return nil
	}
	l := &linter{c: c, s: atRest(s, now), now: now.UTC()}
	for _, check := range [...]func(*linter){
		(*linter).autostart, (*linter).autostop, (*linter).clock, (*linter).retry, (*linter).requirement, (*linter).holidays,
		(*linter).deletion, (*linter).deletesStopped, (*linter).deletesAtDeadline, (*linter).pauses,
		(*linter).window, (*linter).early, (*linter).uncapped, (*linter).reminder, (*linter).extension, (*linter).worker, (*linter).herd,
	} {
		check(l)
	}
	return l.warnings
}

type linter struct {
	c        Config
	s        lifecycle.Snapshot
	now      time.Time
	warnings Warnings
	// short says that runs end as soon as they begin.
	short bool
}

func (l *linter) warn(w Warning) { l.warnings = append(l.warnings, w) }

// atRest is the workspace with its settings alone: stopped at now, nobody's hold or failure in the way, nothing unused.
func atRest(s lifecycle.Snapshot, now time.Time) lifecycle.Snapshot {
	w := &s.Workspace
	s.Workspace = lifecycle.Workspace{
		ID: w.ID, OwnerID: w.OwnerID, TemplateID: w.TemplateID, Name: w.Name, CreatedAt: now, LastUsedAt: now,
		Autostart: w.Autostart, Autostop: w.Autostop, TTL: w.TTL, AutomaticUpdates: w.AutomaticUpdates, Seen: w.Seen,
	}
	s.Build = lifecycle.Build{
		Number: 1, TemplateVersionID: s.Build.TemplateVersionID, Transition: lifecycle.TransitionStop,
		Status: lifecycle.JobSucceeded, CreatedAt: now, CompletedAt: now,
	}
	s.Owner.Status = lifecycle.OwnerActive
	s.Owner.AutostartAfter, s.Engine = time.Time{}, lifecycle.Engine{}
	s.Template.Hold, s.Template.Floors, s.Template.AutostartAfter = lifecycle.Hold{}, lifecycle.Floors{}, time.Time{}
	return s
}

// awake is the workspace at rest that never goes dormant.
func (l *linter) awake() lifecycle.Snapshot {
	s := l.s
	s.Template.Policy.TimeTilDormant = 0
	return s
}

// cure is a change of one setting that may be what a workspace lacks.
type cure struct {
	setting, problem, advice string
	value                    func(*lifecycle.Snapshot) string
	apply                    func(*lifecycle.Snapshot)
}

var startCures = []cure{
	{
		setting: "Policy.AllowUserAutostart", problem: "the template lets no workspace start by itself, so the schedule never fires",
		advice: "set it, or remove the schedule",
		value:  func(*lifecycle.Snapshot) string { return "false" },
		apply:  func(s *lifecycle.Snapshot) { s.Template.Policy.AllowUserAutostart = true },
	},
	{
		setting: "Policy.AutostartDays", problem: "the schedule never falls on a day that the template allows, so it never fires",
		advice: "allow a day of the schedule, or choose another day",
		value:  func(s *lifecycle.Snapshot) string { return s.Template.Policy.AutostartDays.String() },
		apply:  func(s *lifecycle.Snapshot) { s.Template.Policy.AutostartDays = schedule.AllDays },
	},
	{
		setting: "Policy.Holidays", problem: "every time of the schedule is a holiday, so it never fires",
		advice: "correct the dates",
		value:  func(s *lifecycle.Snapshot) string { return text.Shortened(s.Template.Policy.Holidays.String()) },
		apply:  func(s *lifecycle.Snapshot) { s.Template.Policy.Holidays = nil },
	},
}

// autostart warns of a schedule that never fires, or not on all of its days.
func (l *linter) autostart() {
	c := l.s.Workspace.Autostart
	if c == nil {
		return
	}
	if err := c.Err(); err != nil {
		l.warn(Warning{
			Code: NeverFires, Setting: "Workspace.Autostart", Value: text.Shortened(c.Text()),
			Problem: "it cannot be read, so it never fires: " + err.Error(), Cure: `write five cron fields, such as "CRON_TZ=Europe/Berlin 0 9 * * 1-5"`,
		})
		return
	}
	if l.starts(l.awake()) {
		l.forbiddenDays(c)
		return
	}
	all := l.awake()
	for _, c := range startCures {
		c.apply(&all)
	}
	for i, c := range startCures {
		without := l.awake()
		for j := range startCures {
			if j != i {
				startCures[j].apply(&without)
			}
		}
		if l.starts(all) && !l.starts(without) {
			l.warn(Warning{Code: NeverFires, Setting: c.setting, Value: c.value(&l.s), Problem: c.problem, Cure: c.advice})
		}
	}
}

// starts reports whether a workspace at rest starts by itself within what is ahead.
func (l *linter) starts(s lifecycle.Snapshot) bool {
	wake := lifecycle.NextWake(s, l.now)
	return !wake.IsZero() && wake.Sub(l.now) < ahead && lifecycle.Decide(s, wake).Rule == lifecycle.RuleAutostart
}

// forbiddenDays warns of the days of a schedule that the template does not allow.
func (l *linter) forbiddenDays(c *schedule.Cron) {
	days := l.s.Template.Policy.AutostartDays
	var lost schedule.Days
	var first time.Time
	for at := range c.Occurrences(l.now, l.now.AddDate(0, 0, 14)) {
		if next, ok := c.NextAllowed(at.Add(-1), days); ok && next.Equal(at) {
			continue
		}
		if lost |= schedule.DaysOf(at.Weekday()); first.IsZero() {
			first = at
		}
	}
	if lost == 0 {
		return
	}
	l.warn(Warning{
		Code: ForbiddenDays, Setting: "Workspace.Autostart", Value: c.String(), At: first.UTC(),
		Problem: fmt.Sprintf("the schedule does not fire on %s, because the template allows starts on %s only", lost, days),
		Cure:    fmt.Sprintf("leave out %s, or allow %s in Policy.AutostartDays", lost, lost),
	})
}

// worker warns of builds that nobody is able to run.
func (l *linter) worker() {
	if l.c.CanRun == nil || l.c.CanRun(l.c.Tags) {
		return
	}
	w := Warning{
		Code: NoWorker, Setting: "Tags", Value: tagText(l.c.Tags),
		Problem: "no worker is able to run builds with these tags, so none of them will ever begin",
		Cure:    "start a worker with these tags, or correct them",
	}
	for _, name := range slices.Sorted(maps.Keys(l.c.Tags)) {
		without := maps.Clone(l.c.Tags)
		delete(without, name)
		if l.c.CanRun(without) {
			w.Setting, w.Value = "Tags."+name, l.c.Tags[name]
			w.Cure = fmt.Sprintf("start a worker with %s=%s, or leave the tag out: without it there are workers", name, l.c.Tags[name])
			break
		}
	}
	l.warn(w)
}

func tagText(tags map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		parts = append(parts, name+"="+tags[name])
	}
	return text.Shortened(strings.Join(parts, " "))
}
