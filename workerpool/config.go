package workerpool

import (
	"cmp"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/coder/quartz"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/invalid"
)

// Config tunes a [Pool]. The zero value works, but knows no type of worker that it could create.
type Config struct {
	// Name is a tag of each instance, and the label of metrics: two pools at one provider must differ in it. At most
	// 60 letters, digits and "-_.". Defaults to "default".
	Name string
	// TagPrefix is put before the names of tags. Defaults to "dormouse-".
	TagPrefix string

	// Limits of plans and of [Pool.Create]. MaxWorkers defaults to 64, MaxCreating to 10, and IdleTimeout and
	// ScaleInDelay to 1 minute. Pauses must be empty: the pool makes them.
	Limits Limits

	// ProbeInterval is the time between two probes of a ready worker. Defaults to 10 seconds.
	ProbeInterval time.Duration
	// BootInterval is that of one that is not ready. Defaults to 2 seconds.
	BootInterval time.Duration
	// BootTimeout is for how long the probes of a worker may fail that has not been ready. Defaults to 10 minutes.
	BootTimeout time.Duration
	// ProbeTimeout is for how long those of a ready worker may fail. Defaults to 10 minutes.
	ProbeTimeout time.Duration
	// ShutdownTimeout is the time before a destroy without effect is repeated; it doubles. Defaults to 10 seconds.
	ShutdownTimeout time.Duration
	// KillInterval is the time between two requests to a job to end, TermTimeout how long that goes on. Default to 5
	// seconds and 2 minutes.
	KillInterval, TermTimeout time.Duration
	// SyncInterval is the time between two listings. Defaults to 1 minute.
	SyncInterval time.Duration
	// PollInterval is the time between two readings of the queue, beyond those that [Pool.Wake] asks for. Defaults to
	// 10 seconds.
	PollInterval time.Duration
	// StaleTime is how long after the start a job is released at the earliest that the queue believes to be on a
	// worker and that is on none. Defaults to 1 minute.
	StaleTime time.Duration

	// CommandTimeout bounds one command on a worker. Defaults to 1 minute, at most BootTimeout and ProbeTimeout.
	CommandTimeout time.Duration
	// CreateTimeout bounds a create call, OperationTimeout all other calls of the provider. Default to 10 minutes and 1
	// minute.
	CreateTimeout, OperationTimeout time.Duration
	// RecordTimeout bounds a call of the queue. Defaults to 1 minute.
	RecordTimeout time.Duration

	// OperationsPerSecond bounds the calls of the provider, ProbesPerSecond the probes. Default to 10 and 100;
	// infinity is no bound.
	OperationsPerSecond, ProbesPerSecond float64
	// MaxProbing bounds the probes in flight. Defaults to 64.
	MaxProbing int

	// FirstPause and LongestPause bound the pauses of creates after the provider's refusals. Default to 1 and 30
	// minutes.
	FirstPause, LongestPause time.Duration

	// BootProbe is the command that succeeds when a worker is ready. Defaults to "true".
	BootProbe string
	// Runner is the command, and its first arguments, that keeps the jobs on a worker; see package runner for its
	// verbs. Defaults to "dormouse-runner".
	Runner string

	// Spent is what earlier runs of the pool have cost, to which [Pool.Cost] adds: the one that a host has kept. The workers that
	// the pool finds are counted from its At on, so all that is lost with a process is what those cost that went between the
	// last note and the next listing. Defaults to nothing.
	Spent Cost
	// Events is told what concerns people, one at a time and in order. It must not block for long: events beyond 10,000
	// in waiting are dropped, as are those that wait 3 seconds after the end of Run's context. A panic in it is logged. Defaults to nil.
	Events func(Event)

	// Clock defaults to the real one.
	Clock quartz.Clock
	// Logger defaults to [slog.Default].
	Logger *slog.Logger
	// Registerer gets the metrics. Defaults to nil: not registered.
	Registerer prometheus.Registerer
	// Namespace is the first part of the metrics' names. Defaults to "dormouse".
	Namespace string
}

// Unlimited is for limits whose zero value has a default.
const Unlimited = math.MaxInt32

const (
	defaultMaxWorkers  = 64
	defaultMaxCreating = 10
	largestCommand     = 4096
	// slowest is the lowest rate at which the time between two calls does not overflow.
	slowest = float64(time.Second) / float64(invalid.MaxDuration)
)

func (c Config) withDefaults() Config {
	c.Name = cmp.Or(c.Name, "default")
	c.TagPrefix = cmp.Or(c.TagPrefix, "dormouse-")
	c.Limits = c.Limits.withDefaults()
	c.Limits.MaxWorkers = cmp.Or(c.Limits.MaxWorkers, defaultMaxWorkers)
	c.Limits.MaxCreating = cmp.Or(c.Limits.MaxCreating, defaultMaxCreating)
	c.Limits.IdleTimeout = cmp.Or(c.Limits.IdleTimeout, time.Minute)
	c.Limits.ScaleInDelay = cmp.Or(c.Limits.ScaleInDelay, time.Minute)
	types := make([]InstanceType, len(c.Limits.Types))
	for i, t := range c.Limits.Types {
		types[i] = t.withDefaults()
	}
	c.Limits.Types = types
	for _, d := range []struct {
		field    *time.Duration
		fallback time.Duration
	}{
		{&c.ProbeInterval, 10 * time.Second},
		{&c.BootInterval, 2 * time.Second},
		{&c.BootTimeout, 10 * time.Minute},
		{&c.ProbeTimeout, 10 * time.Minute},
		{&c.ShutdownTimeout, 10 * time.Second},
		{&c.KillInterval, 5 * time.Second},
		{&c.TermTimeout, 2 * time.Minute},
		{&c.SyncInterval, time.Minute},
		{&c.PollInterval, 10 * time.Second},
		{&c.StaleTime, time.Minute},
		{&c.CommandTimeout, time.Minute},
		{&c.CreateTimeout, 10 * time.Minute},
		{&c.OperationTimeout, time.Minute},
		{&c.RecordTimeout, time.Minute},
		{&c.FirstPause, time.Minute},
		{&c.LongestPause, 30 * time.Minute},
	} {
		*d.field = cmp.Or(*d.field, d.fallback)
	}
	c.CommandTimeout = min(c.CommandTimeout, c.BootTimeout, c.ProbeTimeout)
	c.OperationsPerSecond = cmp.Or(c.OperationsPerSecond, 10)
	c.ProbesPerSecond = cmp.Or(c.ProbesPerSecond, 100)
	c.MaxProbing = cmp.Or(c.MaxProbing, 64)
	c.BootProbe = cmp.Or(c.BootProbe, "true")
	c.Runner = cmp.Or(c.Runner, "dormouse-runner")
	c.Namespace = cmp.Or(c.Namespace, "dormouse")
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Logger = c.Logger.With(slog.String("pool", c.Name))
	return c
}

func (c Config) validate() error {
	if !isName(c.Name) {
		return invalid.New("Config.Name", c.Name, nameRule)
	}
	if err := c.Limits.Validate(); err != nil {
		return within("Config.Limits.", err)
	}
	if len(c.Limits.Pauses) > 0 {
		return invalid.New("Config.Limits.Pauses", len(c.Limits.Pauses), "must be empty: the pool makes them")
	}
	err := cmp.Or(
		invalid.Duration("Config.ProbeInterval", c.ProbeInterval),
		invalid.Duration("Config.BootInterval", c.BootInterval),
		invalid.Duration("Config.BootTimeout", c.BootTimeout),
		invalid.Duration("Config.ProbeTimeout", c.ProbeTimeout),
		invalid.Duration("Config.ShutdownTimeout", c.ShutdownTimeout),
		invalid.Duration("Config.KillInterval", c.KillInterval),
		invalid.Duration("Config.TermTimeout", c.TermTimeout),
		invalid.Duration("Config.SyncInterval", c.SyncInterval),
		invalid.Duration("Config.PollInterval", c.PollInterval),
		invalid.Duration("Config.StaleTime", c.StaleTime),
		invalid.Duration("Config.CommandTimeout", c.CommandTimeout),
		invalid.Duration("Config.CreateTimeout", c.CreateTimeout),
		invalid.Duration("Config.OperationTimeout", c.OperationTimeout),
		invalid.Duration("Config.RecordTimeout", c.RecordTimeout),
		invalid.Duration("Config.FirstPause", c.FirstPause),
		invalid.Duration("Config.LongestPause", c.LongestPause),
		invalid.Count("Config.MaxProbing", c.MaxProbing),
	)
	switch {
	case err != nil:
		return err
	case !c.Spent.valid():
		return invalid.New("Config.Spent", c.Spent, "must be finite and not negative")
	case !(c.OperationsPerSecond >= slowest):
		return invalid.New("Config.OperationsPerSecond", c.OperationsPerSecond, "must be above zero, and no less than one in 50 years")
	case !(c.ProbesPerSecond >= slowest):
		return invalid.New("Config.ProbesPerSecond", c.ProbesPerSecond, "must be above zero, and no less than one in 50 years")
	case c.LongestPause < c.FirstPause:
		return invalid.New("Config.LongestPause", c.LongestPause, "must not be below FirstPause")
	case len(c.BootProbe) > largestCommand:
		return invalid.New("Config.BootProbe", c.BootProbe, "at most %d bytes", largestCommand)
	case len(c.Runner) > largestCommand:
		return invalid.New("Config.Runner", c.Runner, "at most %d bytes", largestCommand)
	}
	return nil
}

// within puts the field of a refusal below another one.
func within(prefix string, err error) error {
	var e *invalid.Error
	if errors.As(err, &e) {
		return &invalid.Error{Field: prefix + e.Field, Value: e.Value, Rule: e.Rule}
	}
	return err
}
