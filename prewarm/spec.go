package prewarm

import (
	"cmp"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

// Spec says what a pool shall be. Name and Version are required; the zero value of everything else works and makes a
// pool of size zero, which is legal: a claim of it is cold or fails, and nothing alerts.
type Spec struct {
	// Name identifies the pool in the store, the backend and the metrics.
	Name string
	// Version is what new members are built from.
	Version string

	// Floor and Ceiling bound the number of unclaimed members. Claimed and destroyed ones do not count, members that
	// still start do. Ceiling defaults to Floor, the highest window or the sum of the reserves, whichever is most.
	Floor, Ceiling int
	// Windows ask for a size at certain times. Where several are open, the largest counts.
	Windows []Window
	// Demand is what is measured or expected; [Pool] fills it in.
	Demand Demand
	// HitRate is the share of claims that shall find a ready member, by which Demand is turned into a size. Defaults to
	// 0.95; negative: demand does not change the size.
	HitRate float64
	// CoolDown is how long members are kept that demand asked for. Defaults to 1 minute.
	CoolDown time.Duration
	// MaxStarting bounds how many members start at once. Defaults to no bound but the ceiling.
	MaxStarting int
	// Reserves are ready members kept for a tenant's claims, by tenant. They are part of the size.
	Reserves map[string]int

	// ReadyTimeout is how long a member may take to become ready. Defaults to 10 minutes.
	ReadyTimeout time.Duration
	// HeldTimeout is how long a member may be held by quota or admission. Defaults to 0: for ever.
	HeldTimeout time.Duration
	// IdleLife is how long a member may be ready without being claimed, MaxAge how long it may exist unclaimed. Both
	// default to 0: for ever. A change applies to members that become ready after it.
	IdleLife, MaxAge time.Duration
	// DestroyTimeout is how long one attempt to destroy a member may take. Defaults to 1 minute.
	DestroyTimeout time.Duration
	// Remember is how long an ended claim is remembered, so that a late repetition does not get a second member.
	// Defaults to 1 hour.
	Remember time.Duration

	// Freshest gives claims the member that became ready last, whose caches are warm and whose life is longest. The others
	// grow old then, and end with their IdleLife. Defaults to false: the one that is ready longest.
	Freshest bool

	Rollover Rollover
	Retry    Retry
	Reuse    Reuse

	// Quarantine is how long a member stays in quarantine before it is destroyed, for a person to look at it. Defaults
	// to 0: not at all. MaxQuarantined bounds how many do; beyond it those that end first go. Defaults to 3.
	Quarantine     time.Duration
	MaxQuarantined int

	// Paused stops creations and removals. Claims and expiry go on.
	Paused bool
	// Err says why the stored spec could not be read. Such a pool is like a paused one: it serves what it has.
	Err error
}

// Window asks for a size during a part of the week.
type Window struct {
	// Hours are when it is open, if they are set; then Start and Length are not.
	Hours schedule.Hours
	// Start is when the window opens; parse it with [schedule.Weekly].
	Start *schedule.Cron
	// Length is how long it stays open, at most a week.
	Length time.Duration
	// Size is the number of members that shall be ready when it opens: their building begins earlier by the time that
	// builds take.
	Size int
}

// Demand is what claims ask for.
type Demand struct {
	// PerHour is the measured rate of claims.
	PerHour float64
	// Waiting is the number of claims that wait for a member now.
	Waiting int
	// Recent is what demand asked for beyond floor, schedule and reserves within the cool-down, in any process. Members
	// are not created for it, but kept.
	Recent int
	// BuildTime is how long a member takes to become ready, as measured.
	BuildTime time.Duration
	// Forecast is the expected rate by hour of the week, nil for none.
	Forecast *Forecast
}

// Rollover says how a pool goes over to a new version. Claimed members are never touched.
type Rollover struct {
	// AtOnce destroys ready members of the old version at once; meanwhile there is nothing to claim. Without it they
	// are served until new ones are ready.
	AtOnce bool
	// Surge is how many members there may be beyond the size meanwhile, within the ceiling. Defaults to 1; negative:
	// none.
	Surge int
	// MaxUnavailable is how many ready members may be missing meanwhile. It counts as at least 1 where there is no room
	// for a surge.
	MaxUnavailable int
}

// Retry says how failed creations are tried again.
type Retry struct {
	// Initial is the pause after the first failure; it doubles with each further one in a row. Defaults to 10 seconds.
	Initial time.Duration
	// Max bounds the pause. Defaults to 10 minutes.
	Max time.Duration
	// Threshold is how many failures in a row open the breaker: from then on one member at a time is tried after each
	// pause, until one becomes ready. Defaults to 3.
	Threshold int
}

// Reuse lets returned members be used again. The zero value destroys every one.
type Reuse struct {
	// MaxUses is how often a resource may be claimed in all. Below 2 nothing is reused.
	MaxUses int
	// CleanTimeout is how long a [Cleaner] may take. Defaults to 1 minute.
	CleanTimeout time.Duration
	// SameOwner lets only the owner of the use before claim a reused member.
	SameOwner bool
}

func (s Spec) withDefaults() Spec {
	s.HitRate = cmp.Or(s.HitRate, 0.95)
	s.CoolDown = cmp.Or(s.CoolDown, time.Minute)
	s.ReadyTimeout = cmp.Or(s.ReadyTimeout, 10*time.Minute)
	s.DestroyTimeout = cmp.Or(s.DestroyTimeout, time.Minute)
	s.Remember = cmp.Or(s.Remember, time.Hour)
	s.Retry.Initial = cmp.Or(s.Retry.Initial, 10*time.Second)
	s.Retry.Max = cmp.Or(s.Retry.Max, max(10*time.Minute, s.Retry.Initial))
	s.Retry.Threshold = cmp.Or(s.Retry.Threshold, 3)
	s.Reuse.CleanTimeout = cmp.Or(s.Reuse.CleanTimeout, time.Minute)
	s.MaxQuarantined = cmp.Or(s.MaxQuarantined, 3)
	if s.Ceiling == 0 {
		s.Ceiling = max(s.Floor, s.reserved())
		for _, w := range s.Windows {
			s.Ceiling = max(s.Ceiling, w.Size)
		}
	}
	if s.MaxStarting == 0 {
		s.MaxStarting = s.Ceiling
	}
	return s
}

func (s *Spec) reserved() int {
	n := 0
	for _, r := range s.Reserves {
		n += r
	}
	return n
}

// Validate refuses a spec that contradicts itself.
func (s Spec) Validate() error {
	for _, check := range []func(Spec) error{Spec.validateNames, Spec.validateSizes, Spec.validateTimes, Spec.validateWindows} {
		if err := check(s); err != nil {
			return err
		}
	}
	return nil
}

// maxName keeps names fit for labels and index entries.
const maxName = 200

func (s Spec) validateNames() error {
	return cmp.Or(named("Spec.Name", s.Name), named("Spec.Version", s.Version))
}

// named refuses a text that names nothing, or that not every store keeps.
func named(field, name string) error {
	if !text.Name(name, maxName) {
		return invalid.New(field, name, "must be 1 to %d bytes of UTF-8 without control and hidden characters", maxName)
	}
	return nil
}

// storable refuses a text that not every store keeps. One of them would fail all the claims that are made together with it.
func storable(field, name string) error {
	if name != "" && !text.Name(name, maxName) {
		return invalid.New(field, name, "must be at most %d bytes of UTF-8 without control and hidden characters", maxName)
	}
	return nil
}

func (s Spec) validateSizes() error {
	for tenant, n := range s.Reserves {
		if n < 0 || n > invalid.MaxCount {
			return invalid.New("Spec.Reserves", n, "tenant %q: must be a number from 0 to %d", tenant, invalid.MaxCount)
		}
		if err := named("Spec.Reserves", tenant); err != nil {
			return err
		}
	}
	d := s.withDefaults()
	err := cmp.Or(
		invalid.Count("Spec.Floor", s.Floor),
		invalid.Count("Spec.Ceiling", s.Ceiling),
		invalid.Count("Spec.MaxStarting", s.MaxStarting),
		invalid.Count("Spec.Rollover.Surge", max(0, s.Rollover.Surge)), // may be negative
		invalid.Count("Spec.Rollover.MaxUnavailable", s.Rollover.MaxUnavailable),
		invalid.Count("Spec.Reuse.MaxUses", s.Reuse.MaxUses),
		invalid.Count("Spec.MaxQuarantined", s.MaxQuarantined),
		invalid.Count("Spec.Retry.Threshold", s.Retry.Threshold),
	)
	switch {
	case err != nil:
		return err
	case s.Floor > d.Ceiling:
		return invalid.New("Spec.Floor", s.Floor, "must not be above the ceiling, %d", d.Ceiling)
	case d.reserved() > d.Ceiling:
		return invalid.New("Spec.Reserves", d.reserved(), "together must not be above the ceiling, %d", d.Ceiling)
	case s.HitRate >= 1 || s.HitRate != s.HitRate:
		return invalid.New("Spec.HitRate", s.HitRate, "must be below 1: no size serves every claim")
	}
	return s.validateDemand()
}

func (s Spec) validateDemand() error {
	d := s.Demand
	if !(d.PerHour >= 0 && d.PerHour <= maxPerHour) {
		return invalid.New("Spec.Demand.PerHour", d.PerHour, "must be between 0 and %g", float64(maxPerHour))
	}
	if d.Forecast != nil {
		for hour, rate := range d.Forecast.PerHour {
			if !(rate >= 0 && rate <= maxPerHour) {
				return invalid.New(fmt.Sprintf("Spec.Demand.Forecast.PerHour[%d]", hour), rate, "must be between 0 and %g", float64(maxPerHour))
			}
		}
	}
	return cmp.Or(
		invalid.Count("Spec.Demand.Waiting", d.Waiting),
		invalid.Count("Spec.Demand.Recent", d.Recent),
		invalid.Duration("Spec.Demand.BuildTime", d.BuildTime),
	)
}

func (s Spec) validateTimes() error {
	err := cmp.Or(
		invalid.Duration("Spec.CoolDown", s.CoolDown),
		invalid.Duration("Spec.ReadyTimeout", s.ReadyTimeout),
		invalid.Duration("Spec.HeldTimeout", s.HeldTimeout),
		invalid.Duration("Spec.IdleLife", s.IdleLife),
		invalid.Duration("Spec.MaxAge", s.MaxAge),
		invalid.Duration("Spec.DestroyTimeout", s.DestroyTimeout),
		invalid.Duration("Spec.Remember", s.Remember),
		invalid.Duration("Spec.Quarantine", s.Quarantine),
		invalid.Duration("Spec.Retry.Initial", s.Retry.Initial),
		invalid.Duration("Spec.Retry.Max", s.Retry.Max),
		invalid.Duration("Spec.Reuse.CleanTimeout", s.Reuse.CleanTimeout),
	)
	if err != nil {
		return err
	}
	if d := s.withDefaults(); d.Retry.Max < d.Retry.Initial {
		return invalid.New("Spec.Retry.Max", d.Retry.Max, "must not be below Initial, %v", d.Retry.Initial)
	}
	return nil
}

func (s Spec) validateWindows() error {
	d := s.withDefaults()
	for _, w := range s.Windows {
		hours := !w.Hours.IsZero()
		switch {
		case hours && (w.Start != nil || w.Length != 0):
			return invalid.New("Window.Hours", w.Hours, "must not be set together with Start or Length")
		case hours:
		case w.Start == nil || w.Start.Err() != nil:
			return invalid.New("Window.Start", w.Start.Text(), "must be a schedule that can be used")
		case w.Length <= 0 || w.Length > week:
			return invalid.New("Window.Length", w.Length, "must be above 0 and at most a week")
		}
		if w.Size < 0 || w.Size > d.Ceiling {
			return invalid.New("Window.Size", w.Size, "must be between 0 and the ceiling, %d", d.Ceiling)
		}
	}
	return nil
}

// surge is how many members there may be beyond the size during a rollover, before the ceiling counts.
func (r Rollover) surge() int { return max(cmp.Or(r.Surge, 1), 0) }

const week = 7 * 24 * time.Hour

// open reports whether the window is open at an instant.
func (w Window) open(at time.Time) bool {
	switch {
	case !w.Hours.IsZero():
		return w.Hours.Covers(at)
	case w.Start.Err() != nil:
		return false
	}
	opened := w.Start.Next(at.Add(-w.Length))
	return !opened.IsZero() && !opened.After(at)
}

// expiry is when a ready member is too old, zero for never.
func (s *Spec) expiry(m *Member) time.Time {
	idle, age := s.endOfIdleLife(m), s.endOfAge(m)
	if idle.IsZero() || !age.IsZero() && age.Before(idle) {
		return age
	}
	return idle
}

func (s *Spec) endOfIdleLife(m *Member) time.Time { return after(m.ReadyAt, s.IdleLife) }

func (s *Spec) endOfAge(m *Member) time.Time { return after(m.CreatedAt, s.MaxAge) }

// after returns the instant a time after another, zero if the time is none.
func after(t time.Time, d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return t.Add(d)
}

// minLife is how much life a member must have left to be claimed, unless the claim says otherwise: a minute, or half its
// idle life if that is less.
func (s *Spec) minLife() time.Duration {
	if s.IdleLife == 0 {
		return time.Minute
	}
	return min(time.Minute, s.IdleLife/2)
}
