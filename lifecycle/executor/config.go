package executor

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/coder/quartz"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Config says how an [Executor] works. The zero value is ready to use.
type Config struct {
	// Interval is the time between ticks of Run. Defaults to 1 minute, with Precise to 1 second.
	Interval time.Duration
	// Tick, if set, drives Run instead of Interval: one tick for each instant received. Run returns when it is closed.
	Tick <-chan time.Time
	// Precise makes Run sleep until the earliest WakeAt instead of a fixed interval. A change made through this executor,
	// or announced by a store that is a [Watcher], is noticed at once, any other within Interval. It needs a store that
	// is a [Waker].
	Precise bool
	// Granularity is what the instant of a tick is truncated to. Defaults to 1 minute or Interval, whichever is shorter;
	// with Precise to 1 microsecond.
	Granularity time.Duration

	// Concurrency bounds the groups, and the builds, that are prepared at once. Defaults to 10.
	Concurrency int
	// PageSize is how many due workspaces are read at a time. Defaults to 1000.
	PageSize int
	// BatchSize is how many changes are committed at a time. Defaults to what the store knows of itself if it is a
	// [Batcher], else to 100: where rows are locked one by one, larger batches are hardly faster and keep others waiting.
	BatchSize int
	// CommitsInFlight bounds the commits that run at once. Defaults to 2.
	CommitsInFlight int
	// Share, if set, is asked at each tick which part of the workspaces this replica looks at. Defaults to the store's
	// division among the live replicas if it is a [Sharer], else to all. What stays due for longer than Interval is looked
	// at whosever share it is, so a replica that dies delays its part by no more than that.
	Shard func() lifecycle.Shard

	// MaxTransitions caps the builds of one tick, MaxPerTemplate those of one template. What a cap holds back keeps its
	// place and goes first in the next tick. Stops for suspended owners go before other stops, these before deletions,
	// these before starts. Default to no cap.
	MaxTransitions int
	MaxPerTemplate int

	// Builder prepares builds. Defaults to builds without tags or payload.
	Builder Builder
	// Available says whether anybody could run a build. Defaults to yes.
	Available Availability
	// BuildTimeout bounds each call of Builder and Available. Defaults to 30 seconds.
	BuildTimeout time.Duration

	// Poster, Notifier and Auditor receive the events of their topics. Without a Poster the jobs of builds go to the job
	// queue of the store, for package acquirer; with one they are delivered to it at least once, for a queue of the
	// host's own. They need a store that is an [Outbox]. Default to nobody: nothing is written for them.
	Poster   Sink
	Notifier Sink
	Auditor  Sink
	// Queued, if set, is told of the jobs that a commit of this executor put into the store's queue, after the commit, so
	// that waiting workers can be woken at once (see Announce of package acquirer). It must not block. A lost call only
	// costs time. Defaults to nobody.
	Queued func([]lifecycle.Job)
	// RelayInterval is how often Run looks for events that nobody told it of. Defaults to 5 seconds.
	RelayInterval time.Duration
	// DeliveryTimeout bounds one delivery. A claimed event is leased for three times as long. Defaults to 20 seconds.
	DeliveryTimeout time.Duration
	// EventRetention is how long an event may wait for its receiver. Run gives up older ones, once an hour, and says so in
	// the log and in the metrics: a notice of last month helps nobody, and what follows it waits behind it. A job to post
	// is never given up, because a build waits for it. Defaults to for ever.
	EventRetention time.Duration

	// Retention is how long ended builds and deleted workspaces are kept, if the store is a [Pruner]. Run prunes once an
	// hour. Defaults to for ever.
	Retention time.Duration

	// ActivityFlush is how long activity may wait in memory (see Executor.Activity). Defaults to 10 seconds.
	ActivityFlush time.Duration

	// StatsC, if set, receives the Stats of every tick of Run. Run waits for the receiver. Defaults to nobody.
	StatsC chan<- Stats
	// Clock is the source of time. Defaults to the real clock.
	Clock quartz.Clock
	// Rand is the source of the random part of build ids, used by one goroutine at a time. Defaults to crypto/rand.
	Rand io.Reader
	// Logger receives what happens. Defaults to nothing.
	Logger *slog.Logger
	// Registerer receives the metrics, Namespace is the first part of their names. Default to no registration, and
	// "dormouse".
	Registerer prometheus.Registerer
	Namespace  string
}

func (c Config) withDefaults(store lifecycle.Store) Config {
	defaultTo(&c.Interval, time.Minute, c.Precise, time.Second)
	defaultTo(&c.Granularity, min(time.Minute, c.Interval), c.Precise, micros.Tick)
	defaultTo(&c.Concurrency, 10, false, 0)
	defaultTo(&c.PageSize, 1000, false, 0)
	defaultTo(&c.BatchSize, batchSize(store), false, 0)
	defaultTo(&c.CommitsInFlight, 2, false, 0)
	defaultTo(&c.BuildTimeout, 30*time.Second, false, 0)
	defaultTo(&c.RelayInterval, 5*time.Second, false, 0)
	defaultTo(&c.DeliveryTimeout, 20*time.Second, false, 0)
	defaultTo(&c.ActivityFlush, 10*time.Second, false, 0)
	defaultTo(&c.Namespace, "dormouse", false, "")
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// batchSize is the size of batch for a store when the host does not say.
func batchSize(store lifecycle.Store) int {
	const usual = 100
	if b, ok := store.(lifecycle.Batcher); ok {
		if n := b.BatchSize(); n > 0 {
			return n
		}
	}
	return usual
}

// defaultTo sets a value that is zero: to other where when holds, else to usual.
func defaultTo[T comparable](v *T, usual T, when bool, other T) {
	var zero T
	switch {
	case *v != zero:
	case when:
		*v = other
	default:
		*v = usual
	}
}

func (c Config) validate(store lifecycle.Store) error {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"Interval", int64(c.Interval)},
		{"Granularity", int64(c.Granularity)},
		{"Concurrency", int64(c.Concurrency)},
		{"PageSize", int64(c.PageSize)},
		{"BatchSize", int64(c.BatchSize)},
		{"CommitsInFlight", int64(c.CommitsInFlight)},
		{"BuildTimeout", int64(c.BuildTimeout)},
		{"RelayInterval", int64(c.RelayInterval)},
		{"DeliveryTimeout", int64(c.DeliveryTimeout)},
		{"ActivityFlush", int64(c.ActivityFlush)},
		{"Retention", int64(c.Retention)},
		{"EventRetention", int64(c.EventRetention)},
		{"MaxTransitions", int64(c.MaxTransitions)},
		{"MaxPerTemplate", int64(c.MaxPerTemplate)},
	} {
		if f.value < 0 {
			return invalid.New("Config."+f.name, f.value, "must not be negative")
		}
	}
	if c.Granularity < micros.Tick || c.Granularity > time.Hour {
		return invalid.New("Config.Granularity", c.Granularity, "must be between 1 microsecond and 1 hour")
	}
	if _, ok := store.(lifecycle.Waker); c.Precise && !ok {
		return invalid.New("Config.Precise", c.Precise, fmt.Sprintf("needs a store with NextWake (lifecycle.Waker); %T has none", store))
	}
	if _, ok := store.(lifecycle.Pruner); c.Retention > 0 && !ok {
		return invalid.New("Config.Retention", c.Retention, fmt.Sprintf("needs a store that forgets (lifecycle.Pruner); %T does not", store))
	}
	if _, ok := store.(lifecycle.Outbox); c.EventRetention > 0 && !ok {
		return invalid.New("Config.EventRetention", c.EventRetention, fmt.Sprintf("needs a store that keeps events (lifecycle.Outbox); %T does not", store))
	}
	if _, ok := store.(lifecycle.Outbox); c.topics() != 0 && !ok {
		return invalid.New("Config.Poster, Notifier or Auditor", "set", fmt.Sprintf("needs a store that keeps events (lifecycle.Outbox); %T does not", store))
	}
	return nil
}

// topics are the topics somebody receives.
func (c Config) topics() lifecycle.Topics {
	var t lifecycle.Topics
	for topic := lifecycle.TopicAudit; topic <= lifecycle.TopicPost; topic++ {
		if c.sink(topic) != nil {
			t |= 1 << topic
		}
	}
	return t
}

func (c Config) sink(t lifecycle.Topic) Sink {
	switch t {
	case lifecycle.TopicAudit:
		return c.Auditor
	case lifecycle.TopicNotice:
		return c.Notifier
	case lifecycle.TopicPost:
		return c.Poster
	}
	return nil
}
