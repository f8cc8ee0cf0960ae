package prewarm

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/coder/quartz"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/invalid"
)

// Config says how a [Pool] works. Spec.Name and Spec.Version are required; the zero value of everything else works.
type Config struct {
	// Spec is what the pool shall be; [Pool.SetSpec] changes it. The pool measures Demand.PerHour, Waiting and BuildTime
	// itself; a BuildTime given here counts until one is measured.
	Spec Spec
	// Cleaner lets returned members be used again, within Spec.Reuse. Defaults to nil: every one is destroyed.
	Cleaner Cleaner

	// Interval is how often the pool plans without being asked. Defaults to 10 seconds.
	Interval time.Duration
	// Relist is how often it lists what the backend has. Defaults to 5 minutes.
	Relist time.Duration
	// Poll is how often waiting claims look for members that other processes made ready. Defaults to 1 second.
	Poll time.Duration
	// Concurrency bounds the calls of the backend that create, and those that destroy or clean: as many of each. So creations
	// that hang hold up no removal. Defaults to 8.
	Concurrency int
	// Batch bounds how many claims are made by one call of the store. Defaults to 500.
	Batch int
	// Timeout bounds one call of the store, and those of the backend that are not bounded by the spec. Defaults to 10
	// seconds.
	Timeout time.Duration
	// MaxWait bounds how long a claim waits, unless it says otherwise. Defaults to 30 seconds.
	MaxWait time.Duration
	// IdleTimeout is how long a claim lasts without activity, unless it says otherwise. Defaults to 1 hour; negative: for
	// ever.
	IdleTimeout time.Duration
	// TrafficWindow is over which the rate of claims is measured, and how long it holds at least. Defaults to 10
	// minutes.
	TrafficWindow time.Duration

	// AlertBelow is the share of ready members below which a pool alerts. Defaults to 0: never.
	AlertBelow float64
	// AlertAfter is how long it must be so before the pool lists what the backend has, once. Defaults to 5 minutes.
	AlertAfter time.Duration
	// DestroyOrphans destroys resources that the backend lists for the pool and the store does not know. Leave it off
	// where the store may be lost or exchanged: everything would be an orphan. Defaults to false: they are counted.
	DestroyOrphans bool

	// Events is told what happens to the pool as a whole, one at a time and in order, while Run runs: what was before is told
	// when it begins. Of several processes the one that has paused the pool or counted the failure tells, and each tells its
	// own alerts and specs. It must not block for long: events beyond 10,000 in waiting are dropped, as are those that wait 3 seconds
	// after Run was to end. A panic in it is logged. Defaults to nil; the log has the events in any case.
	Events func(PoolEvent)

	// Instance tells pools of one name apart in metrics (label "instance"). Defaults to "": no label.
	Instance string
	// Namespace is the first part of the metrics' names. Defaults to "dormouse".
	Namespace string
	// Clock defaults to the real one.
	Clock quartz.Clock
	// Logger defaults to [slog.Default].
	Logger *slog.Logger
	// Registerer gets the metrics. Defaults to nil: not registered, Stats works all the same.
	Registerer prometheus.Registerer
}

const defaultTrafficWindow = 10 * time.Minute

func (c Config) withDefaults() Config {
	c.Interval = cmp.Or(c.Interval, 10*time.Second)
	c.Relist = cmp.Or(c.Relist, 5*time.Minute)
	c.Poll = cmp.Or(c.Poll, time.Second)
	c.Concurrency = cmp.Or(c.Concurrency, 8)
	c.Batch = cmp.Or(c.Batch, 500)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.MaxWait = cmp.Or(c.MaxWait, 30*time.Second)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, time.Hour)
	c.TrafficWindow = cmp.Or(c.TrafficWindow, defaultTrafficWindow)
	c.AlertAfter = cmp.Or(c.AlertAfter, 5*time.Minute)
	c.Namespace = cmp.Or(c.Namespace, "dormouse")
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Logger = c.Logger.With("pool", c.Spec.Name)
	return c
}

// validate is called after withDefaults.
func (c Config) validate() error {
	err := cmp.Or(
		invalid.Duration("Config.Interval", c.Interval),
		invalid.Duration("Config.Relist", c.Relist),
		invalid.Duration("Config.Poll", c.Poll),
		invalid.Duration("Config.Timeout", c.Timeout),
		invalid.Duration("Config.MaxWait", c.MaxWait),
		invalid.Duration("Config.IdleTimeout", max(0, c.IdleTimeout)), // may be negative
		invalid.Duration("Config.TrafficWindow", c.TrafficWindow),
		invalid.Duration("Config.AlertAfter", c.AlertAfter),
		invalid.Count("Config.Concurrency", c.Concurrency),
		invalid.Count("Config.Batch", c.Batch),
	)
	switch {
	case err != nil:
		return err
	case !(c.AlertBelow >= 0 && c.AlertBelow <= 1):
		return invalid.New("Config.AlertBelow", c.AlertBelow, "must be between 0 and 1")
	}
	return c.Spec.Validate()
}
