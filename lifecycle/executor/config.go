package executor

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/coder/quartz"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Config configures an [Executor]. The zero value works.
type Config struct {
	// Interval is the time between two ticks of Run. Defaults to 1 minute, with Precise to 1 second.
	Interval time.Duration
	// Tick, if set, drives Run instead of Interval: one tick for each instant received. Run returns when it is closed.
	Tick <-chan time.Time
	// Precise makes Run sleep until the earliest WakeAt instead of a fixed interval. It notices a change at once if it
	// was made through this executor or a store that is a [lifecycle.Watcher] announced it, any other change within
	// Interval. It needs a store that is a [lifecycle.Waker].
	Precise bool
	// Granularity is the unit to which Tick truncates its instant. Defaults to 1 minute or Interval, whichever is
	// shorter; with Precise to 1 microsecond.
	Granularity time.Duration

	// Concurrency limits the groups and the builds prepared at once, and the deliveries of one topic. Defaults to 10.
	Concurrency int
	// PageSize is the number of due workspaces that one read returns. Defaults to 1000.
	PageSize int
	// BatchSize is the number of changes in one commit. Defaults to the store's own choice if it is a
	// [lifecycle.Batcher], otherwise to 100: where a store locks row by row, larger batches gain little and make others
	// wait.
	BatchSize int
	// CommitsInFlight limits the commits that run at once. Defaults to 2.
	CommitsInFlight int
	// Shard, if set, is called at each tick and returns the part of the workspaces that this replica evaluates. Defaults
	// to the part that the store assigns if it is a [lifecycle.Sharder], otherwise to all. Every replica evaluates what
	// has been due for longer than Interval, in whichever shard, so a replica that dies delays its part by no more than
	// that.
	Shard func() lifecycle.Shard

	// MaxTransitions limits the builds of one tick, MaxPerTemplate those of one tick and template. What a limit holds
	// back keeps its place and goes first in the next tick. Stops for suspended owners go before other stops, those
	// before deletions, those before starts. Default to no limit.
	MaxTransitions int
	MaxPerTemplate int

	// MaxDeletions limits the deletions that rules make within an hour, by all replicas together, MaxDeletionsPerTemplate
	// those of one template: see [lifecycle.Brake]. What is due beyond waits, and its owner is told once, until there is room
	// or [lifecycle.Engine.DeletionsReleasedUntil] is put. They need a store that is a [lifecycle.Braker]; over any other,
	// nothing limits deletions. Default to a tenth of the workspaces, and at least 10.
	MaxDeletions            int
	MaxDeletionsPerTemplate int
	// Settle is how long autostops and dormancy wait after a gap in the ticks of all replicas that is longer than three
	// Intervals, so that activity which nobody could report meanwhile is reported first. The stops of suspended owners do
	// not wait. It needs a store that is a [lifecycle.Settler]. Defaults to 0: nothing waits.
	Settle time.Duration

	// Builder prepares builds. Defaults to builds without tags or payload.
	Builder Builder
	// Available reports whether a worker exists for a group of builds. Defaults to yes.
	Available Availability
	// BuildTimeout limits each call of Builder, Available, Queued and Shard. Defaults to 30 seconds.
	BuildTimeout time.Duration
	// StoreTimeout limits each call of the store. One that takes longer counts as a store that is unavailable, but a commit of several
	// workspaces is tried again in parts, each for a tenth of the time: one of them may take too long. Defaults to 30 seconds.
	StoreTimeout time.Duration

	// Poster, Notifier and Auditor receive the events of their topics: jobs, notices to people, the audit log. Without a
	// Poster the jobs of builds go to the store's queue, for package acquirer; with one it receives them at least once,
	// for a queue of the host's own. Once one of them has ticked, every process writes the events for it, whatever its own
	// configuration: see [lifecycle.Subscriber], which also ends that. They need a store that is a [lifecycle.Outbox].
	// Default to nil: this process receives nothing.
	Poster   Sink
	Notifier Sink
	Auditor  Sink
	// Topics are topics that executors of other processes receive. The store is told of them as of those of the sinks, so
	// that their events are written from the first tick on, and left to those processes. Defaults to none.
	Topics []lifecycle.Topic
	// Queued is called with the jobs that a commit of this executor added to the store's queue, after the commit, so that
	// waiting workers start at once. It must not block. A missed call costs time, not correctness. Defaults to nil: no
	// call.
	Queued func([]lifecycle.Job)
	// RelayInterval is how often Run looks for events that another process wrote. Defaults to 5 seconds.
	RelayInterval time.Duration
	// DeliveryTimeout limits one delivery. The lease of a claimed event is three times as long. Defaults to 20 seconds.
	DeliveryTimeout time.Duration
	// EventRetention is how long an event waits for its receiver. Once an hour Run removes older ones, and records each
	// in the log and in the metrics. Jobs are never removed, because their builds wait for them. Defaults to 0: for ever.
	EventRetention time.Duration

	// Retention is how long ended builds and deleted workspaces are kept. Run prunes once an hour. It needs a store that
	// is a [lifecycle.Pruner]. Defaults to 0: for ever.
	Retention time.Duration

	// ActivityFlush is how long Run keeps activity in memory before it writes it. Defaults to 10 seconds.
	ActivityFlush time.Duration

	// StatsC, if set, receives the Stats of every tick of Run, which waits for the receiver. Defaults to nil.
	StatsC chan<- Stats

	// Clock is the source of time. Defaults to the real clock.
	Clock quartz.Clock
	// Rand is the source of the random part of build ids. One goroutine at a time reads it. Defaults to crypto/rand.
	Rand io.Reader
	// Logger receives one line for each transition, and what only an operator can act on. Defaults to slog.Default().
	Logger *slog.Logger

	// Registerer receives the metrics until Run returns or Close is called. Two clients or executors on one registerer
	// need different Instances. Defaults to nil: no metrics are registered, and Stats works all the same.
	Registerer prometheus.Registerer
	// Namespace is the first part of the metrics' names. Defaults to "dormouse".
	Namespace string
	// Instance identifies the executor in metrics and logs (label and attribute "instance"). Defaults to "": no
	// label. Those that share a registry all need one.
	Instance string
}

func (c Config) withDefaults() Config {
	if c.Precise {
		defaultTo(&c.Interval, time.Second)
		defaultTo(&c.Granularity, micros.Tick)
	}
	defaultTo(&c.Interval, time.Minute)
	defaultTo(&c.Granularity, min(time.Minute, c.Interval))
	defaultTo(&c.Concurrency, 10)
	defaultTo(&c.CommitsInFlight, 2)
	defaultTo(&c.RelayInterval, 5*time.Second)
	defaultTo(&c.DeliveryTimeout, 20*time.Second)
	return c
}

// client is the part of the configuration that the executor's client reads.
func (c Config) client() ClientConfig {
	topics := slices.Concat(c.Topics, slices.Collect(maps.Keys(c.sinks())))
	return ClientConfig{
		Builder: c.Builder, BuildTimeout: c.BuildTimeout, StoreTimeout: c.StoreTimeout, Topics: topics, Queued: c.Queued, ActivityFlush: c.ActivityFlush,
		BatchSize: c.BatchSize, PageSize: c.PageSize, Clock: c.Clock, Rand: c.Rand, Logger: c.Logger,
		Registerer: c.Registerer, Namespace: c.Namespace, Instance: c.Instance,
	}
}

// sinks are the receivers that are set.
func (c Config) sinks() map[lifecycle.Topic]Sink {
	all := map[lifecycle.Topic]Sink{
		lifecycle.TopicAudit: c.Auditor, lifecycle.TopicNotice: c.Notifier, lifecycle.TopicPost: c.Poster,
	}
	for topic, sink := range all {
		if sink == nil {
			delete(all, topic)
		}
	}
	return all
}

// validate checks the fields that the client does not read.
func (c Config) validate(store lifecycle.Store) error {
	err := cmp.Or(
		invalid.Duration("Config.Interval", c.Interval),
		invalid.Count("Config.Concurrency", c.Concurrency),
		invalid.Count("Config.CommitsInFlight", c.CommitsInFlight),
		invalid.Duration("Config.RelayInterval", c.RelayInterval),
		invalid.Duration("Config.DeliveryTimeout", c.DeliveryTimeout),
		invalid.Duration("Config.Retention", c.Retention),
		invalid.Duration("Config.EventRetention", c.EventRetention),
		invalid.Count("Config.MaxTransitions", c.MaxTransitions),
		invalid.Count("Config.MaxPerTemplate", c.MaxPerTemplate),
		invalid.Count("Config.MaxDeletions", c.MaxDeletions),
		invalid.Count("Config.MaxDeletionsPerTemplate", c.MaxDeletionsPerTemplate),
		invalid.Duration("Config.Settle", c.Settle),
	)
	if err != nil {
		return err
	}
	if c.Granularity < micros.Tick || c.Granularity > time.Hour {
		return invalid.New("Config.Granularity", c.Granularity, "must be between 1 microsecond and 1 hour")
	}
	if c.Granularity > c.Interval && c.Tick == nil && !c.Precise {
		return invalid.New("Config.Granularity", c.Granularity, fmt.Sprintf("must not be longer than Interval (%v): ticks in between would find nothing", c.Interval))
	}
	return c.validateAbilities(store)
}

// validateAbilities checks that the store is able to do what the host asks for.
func (c Config) validateAbilities(store lifecycle.Store) error {
	_, outbox := lifecycle.Ability[lifecycle.Outbox](store)
	_, waker := lifecycle.Ability[lifecycle.Waker](store)
	_, pruner := lifecycle.Ability[lifecycle.Pruner](store)
	_, braker := lifecycle.Ability[lifecycle.Braker](store)
	_, settler := lifecycle.Ability[lifecycle.Settler](store)
	for _, f := range []struct {
		name        string
		set, able   bool
		value       any
		requirement string
	}{
		{"Precise", c.Precise, waker, c.Precise, "lifecycle.Waker"},
		{"MaxDeletions", c.MaxDeletions > 0, braker, c.MaxDeletions, "lifecycle.Braker"},
		{"MaxDeletionsPerTemplate", c.MaxDeletionsPerTemplate > 0, braker, c.MaxDeletionsPerTemplate, "lifecycle.Braker"},
		{"Settle", c.Settle > 0, settler, c.Settle, "lifecycle.Settler"},
		{"Retention", c.Retention > 0, pruner, c.Retention, "lifecycle.Pruner"},
		{"EventRetention", c.EventRetention > 0, outbox, c.EventRetention, "lifecycle.Outbox"},
		{"Poster", c.Poster != nil, outbox, "a function", "lifecycle.Outbox"},
		{"Notifier", c.Notifier != nil, outbox, "a function", "lifecycle.Outbox"},
		{"Auditor", c.Auditor != nil, outbox, "a function", "lifecycle.Outbox"},
	} {
		if f.set && !f.able {
			return invalid.New("Config."+f.name, f.value, needs(store, f.requirement))
		}
	}
	return nil
}
