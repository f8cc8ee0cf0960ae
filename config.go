package dormouse

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/shadow"
)

// Config configures a [Plane]. The zero value works: it decides, and leaves the builds to workers of other processes.
type Config struct {
	// Build carries out one build: it starts, stops or deletes what a workspace is made of. It may be called again for the
	// same build after a crash, so what is done already must be no error. Its error fails the build, unless it comes from
	// [Retry]. A start of a workspace that runs, which is a restart, is two calls within one build: a stop, then the start.
	// The context ends when the build is canceled, when it is no longer ours, and when the plane stops and
	// worker.Config.Drain has passed. Defaults to nil: no workers here, others take the jobs through [Plane.Acquirer].
	Build func(ctx context.Context, b *Build) error
	// Workers is how many builds run at once in this process. Defaults to 10 with Build, and to none without.
	Workers int
	// Builder decides what the job of a build carries (tags, priority, payload), and may refuse a build for now. Defaults
	// to none of these.
	Builder executor.Builder

	// Notify receives what an owner should know, Audit what happened, each at least once and in order for each workspace, those
	// of several at once; a repeated one has the same [Event.Key]. An error repeats it later. Default to nil: nothing is
	// written for it, unless another process of the store receives it.
	Notify func(ctx context.Context, n Notice) error
	Audit  func(ctx context.Context, e Event) error

	// Machines carry out builds outside of this process, and come and go with the builds that wait. MachinesElsewhere says that
	// another plane of the store has them. Default to nil and false.
	Machines          *Machines
	MachinesElsewhere bool

	// Pools are pools of workspaces that run before somebody asks for them, see [Plane.Claim]. Their builds wait behind all
	// that people ask for, and hold at most half of the slots. Defaults to none.
	Pools []Pool

	// Shadow makes the plane only look, beside a scheduler that the host has: Run makes no builds, deletes and tells nothing, and
	// compares every minute what the rules would do with what the scheduler does. The host puts its templates, adopts its fleet
	// ([Plane.Adopt]), tells of what happens ([Plane.Acted], [Plane.Observe], [Plane.Activity]), and reads [Plane.ShadowReport].
	// Without Shadow the same plane then takes over. Defaults to nil: the plane acts.
	Shadow *shadow.Config

	// Organization is the one whose templates, owners and workspaces this plane makes, and whose builds its workers run.
	// Defaults to uuid.Nil: there is only one.
	Organization uuid.UUID
	// Pubsub tells other processes of new jobs at once. Defaults to nil: they look every 1.5 seconds.
	Pubsub acquirer.Pubsub
	// Retention is how long ended builds, their jobs and deleted workspaces are kept. Defaults to 0: jobs for 7 days,
	// everything else for ever.
	Retention time.Duration
	// Sweep is the time between two searches for builds whose job ended unnoticed; each reads what is being built. Another one
	// follows two minutes after the start, and after a process was lost. Defaults to 1 hour.
	Sweep time.Duration

	// TuneExecutor, TuneAcquirer and TuneWorker change the configuration of an engine before it is made, for what this
	// one has no field for. Default to nil: nothing to change.
	TuneExecutor func(*executor.Config)
	TuneAcquirer func(*acquirer.Config)
	TuneWorker   func(*worker.Config)

	// Clock is the source of time. Defaults to the real clock.
	Clock quartz.Clock
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Registerer receives the metrics of all engines until Run returns. Defaults to nil: no metrics are registered.
	Registerer prometheus.Registerer
	// Namespace is the first part of the metrics' names. Defaults to "dormouse".
	Namespace string
	// Instance names this process to people: in logs, in metrics, and in the store's register of processes. Planes that
	// share a Registerer need different ones. Defaults to "".
	Instance string
}

const defaultWorkers = 10

func (c Config) withDefaults() Config {
	if c.Workers == 0 && c.Build != nil {
		c.Workers = defaultWorkers
	}
	if c.Sweep == 0 {
		c.Sweep = time.Hour
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) validate() error {
	err := cmp.Or(invalid.Duration("Config.Retention", c.Retention), invalid.Duration("Config.Sweep", c.Sweep))
	switch {
	case err != nil:
		return err
	case c.Workers < 0:
		return invalid.New("Config.Workers", c.Workers, "must not be negative")
	case c.Workers > acquirer.MaxSlots:
		return invalid.New("Config.Workers", c.Workers, "must be at most %d", acquirer.MaxSlots)
	case c.Workers > 0 && c.Build == nil:
		return invalid.New("Config.Workers", c.Workers, "must be 0 without Config.Build")
	}
	return c.validateMachines()
}
