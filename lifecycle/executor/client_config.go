package executor

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/coder/quartz"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

const defaultNamespace = "dormouse"

// ClientConfig configures a [Client]. The zero value works.
type ClientConfig struct {
	// Builder prepares the builds that people ask for. Defaults to builds without tags or payload.
	Builder Builder
	// BuildTimeout limits each call of Builder, and of Queued. Defaults to 30 seconds.
	BuildTimeout time.Duration
	// StoreTimeout limits each call of the store. One that takes longer counts as a store that is unavailable. Defaults to 30
	// seconds.
	StoreTimeout time.Duration

	// Topics are topics that somebody receives, beside those that the store knows (see [lifecycle.Subscriber]): the events
	// of the client's changes are written for both, and an executor of any process delivers them. With
	// [lifecycle.TopicPost] among them, jobs go to that executor's Poster instead of the store's queue. Over a store that
	// keeps no topics, every process has to name the same ones. Topics need a store that is a [lifecycle.Outbox].
	// Defaults to none.
	Topics []lifecycle.Topic
	// Queued is called with the jobs that a commit of the client added to the store's queue, after the commit, so that
	// waiting workers start at once. It must not block. A missed call costs time, not correctness. Defaults to nil: no
	// call.
	Queued func([]lifecycle.Job)

	// ActivityFlush is how long Run keeps activity in memory before it writes it. Defaults to 10 seconds.
	ActivityFlush time.Duration
	// BatchSize is the number of changes in one commit. Defaults to the store's own choice if it is a
	// [lifecycle.Batcher], otherwise to 100: where a store locks row by row, larger batches gain little and make others
	// wait.
	BatchSize int
	// PageSize is the number of workspaces that one read of Plan or Apply returns. Defaults to 1000.
	PageSize int

	// Clock is the source of time. Defaults to the real clock.
	Clock quartz.Clock
	// Rand is the source of the random part of build ids. One goroutine at a time reads it. Defaults to crypto/rand.
	Rand io.Reader
	// Logger receives what only an operator can act on. Defaults to slog.Default().
	Logger *slog.Logger

	// Registerer receives the metrics until Run returns or Close is called. Two clients or executors on one registerer
	// need different Instances. Defaults to nil: no metrics are registered.
	Registerer prometheus.Registerer
	// Namespace is the first part of the metrics' names. Defaults to "dormouse".
	Namespace string
	// Instance identifies the client in metrics and logs (label and attribute "instance"). Defaults to "".
	Instance string
}

func (c ClientConfig) withDefaults(store lifecycle.Store) ClientConfig {
	defaultTo(&c.BuildTimeout, 30*time.Second)
	defaultTo(&c.StoreTimeout, 30*time.Second)
	defaultTo(&c.ActivityFlush, 10*time.Second)
	defaultTo(&c.BatchSize, batchSize(store))
	defaultTo(&c.PageSize, 1000)
	defaultTo(&c.Namespace, defaultNamespace)
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	c.Logger = loggerFor(c.Logger, c.Instance)
	return c
}

// validate reports the first field that cannot be used; in is the name of the struct that the host filled in.
func (c ClientConfig) validate(in string, store lifecycle.Store) error {
	err := cmp.Or(
		invalid.Duration(in+".BuildTimeout", c.BuildTimeout),
		invalid.Duration(in+".StoreTimeout", c.StoreTimeout),
		invalid.Duration(in+".ActivityFlush", c.ActivityFlush),
		invalid.Count(in+".BatchSize", c.BatchSize),
		invalid.Count(in+".PageSize", c.PageSize),
	)
	if err != nil {
		return err
	}
	for _, t := range c.Topics {
		if !lifecycle.AllTopics.Has(t) {
			return invalid.New(in+".Topics", uint8(t), "must be a topic of package lifecycle")
		}
	}
	if _, ok := lifecycle.Ability[lifecycle.Outbox](store); len(c.Topics) > 0 && !ok {
		return invalid.New(in+".Topics", c.Topics, needs(store, "lifecycle.Outbox"))
	}
	return nil
}

// needs is the rule of a field that only stores with an ability support.
func needs(store lifecycle.Store, ability string) string {
	return fmt.Sprintf("needs a store that implements %s; %T does not", ability, store)
}

// defaultTo sets a value that is zero.
func defaultTo[T comparable](v *T, usual T) {
	var zero T
	if *v == zero {
		*v = usual
	}
}

// batchSize is the number of changes in one commit when the host does not choose it.
func batchSize(store lifecycle.Store) int {
	const usual = 100
	if b, ok := lifecycle.Ability[lifecycle.Batcher](store); ok {
		if n := b.BatchSize(); n > 0 {
			return n
		}
	}
	return usual
}

func loggerFor(l *slog.Logger, instance string) *slog.Logger {
	if l == nil {
		l = slog.Default()
	}
	if instance != "" {
		l = l.With(slog.String("instance", instance))
	}
	return l
}
