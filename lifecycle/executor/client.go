package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// ErrAlreadyRun is returned by the second call of Run on one [Client] or [Executor].
var ErrAlreadyRun = errors.New("executor: Run was called before")

// Client reads and changes single workspaces on request: it applies verbs, explains, plans and applies policy changes,
// and records activity. It is what a process needs that answers people and never ticks. It is safe for concurrent use;
// any number of clients and executors may work on one store.
type Client struct {
	*caller
	store    *bounded
	cfg      ClientConfig
	topics   lifecycle.Topics // those that this process knows somebody to receive
	builds   *builds
	activity *activity
	zones    *zones
	signals  *signals
	// obstacles are those that the ticks of this process have met.
	obstacles obstacles
	made      *transitionCounter
	dropped   prometheus.Counter // activity
	metrics   *registration
	ran       atomic.Bool
	later     *later // what a client within a transaction has to announce
}

// NewClient returns a client of a store. It starts nothing; call [Client.Run] if the process records activity. The error
// names the field of the configuration that cannot be used.
func NewClient(store lifecycle.Store, cfg ClientConfig) (*Client, error) {
	c, err := newClient(store, cfg, "ClientConfig", nil)
	if err != nil {
		return nil, fmt.Errorf("new client: %w", err)
	}
	if c.metrics, err = register(c.cfg.Registerer, c.made, c.dropped); err != nil {
		return nil, fmt.Errorf("new client: %w", err)
	}
	return c, nil
}

// newClient returns a client whose metrics are not registered yet, because those of an executor are registered together.
func newClient(store lifecycle.Store, cfg ClientConfig, in string, signals *signals) (*Client, error) {
	if store == nil {
		return nil, invalid.New("store", nil, "is required")
	}
	cfg = cfg.withDefaults(store)
	if err := cfg.validate(in, store); err != nil {
		return nil, err
	}
	names := metricNames{cfg.Namespace, cfg.Instance}
	calls := newCaller(cfg.Clock, cfg.Logger)
	bounded := newBounded(store, cfg.StoreTimeout, calls)
	return &Client{
		caller: calls, store: bounded, cfg: cfg, topics: setOf(cfg.Topics), signals: signals,
		activity: newActivity(), obstacles: obstacles{of: map[uuid.UUID]obstacle{}},
		zones:   newZones(bounded),
		made:    newTransitionCounter(names),
		dropped: names.counter("activity_dropped_total", "Activity that the store refused to take."),
		builds: &builds{
			caller: calls, builder: cfg.Builder, timeout: cfg.BuildTimeout, ids: newIDs(cfg.Rand),
		},
	}, nil
}

// Run writes the recorded activity every ClientConfig.ActivityFlush until ctx ends, and once more after that, for at most
// 10 seconds. It returns nil, also when that last write failed: the log then has the number of workspaces concerned. Calls
// of the store that do not return are the exception: it gives them up, and names them in a [*TimeoutError]. Run may be
// called once; another call returns [ErrAlreadyRun].
func (c *Client) Run(ctx context.Context) error {
	if ctx == nil {
		return invalid.New("ctx", nil, "is required")
	}
	if !c.ran.CompareAndSwap(false, true) {
		return ErrAlreadyRun
	}
	defer c.Close()
	c.runActivity(ctx)
	c.flushAtEnd(ctx)
	return c.leftovers()
}

// Close takes the metrics out of the registry. Run does it when it returns; only a process that calls no Run needs Close.
// The client stays usable, and Close may be called again.
func (c *Client) Close() { c.metrics.close() }

// committed announces what a commit has written. What goes wrong costs time alone: everybody looks by himself as well.
func (c *Client) committed(ctx context.Context, written lifecycle.Topics, queued []lifecycle.Job) {
	if c.later != nil {
		c.later.add(written, queued)
		return
	}
	c.signals.wrote(written)
	if len(queued) == 0 || c.cfg.Queued == nil {
		return
	}
	_, err := call(context.WithoutCancel(ctx), c.caller, c.cfg.BuildTimeout, "announce queued jobs",
		func(context.Context) (struct{}, error) { c.cfg.Queued(queued); return struct{}{}, nil })
	if err != nil {
		c.logger.ErrorContext(ctx, "executor: queued jobs not announced", "jobs", len(queued), "error", err)
	}
}

// signals wake the loops of an executor. Each is a channel with room for one: nobody waits to send, and several signals
// become one. A client without an executor has none (nil), and its signals go nowhere.
type signals struct {
	// wake concerns a precise Run: the earliest wake may have moved.
	wake chan struct{}
	// events concern the relay of each topic.
	events map[lifecycle.Topic]chan struct{}
}

// changed reports a change that may have moved a wake.
func (s *signals) changed() {
	if s != nil {
		signal(s.wake)
	}
}

// wrote reports events of some topics.
func (s *signals) wrote(topics lifecycle.Topics) {
	if s == nil {
		return
	}
	for topic, c := range s.events {
		if topics.Has(topic) {
			signal(c)
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// setOf returns topics as a set.
func setOf(topics []lifecycle.Topic) (set lifecycle.Topics) {
	for _, t := range topics {
		set |= 1 << t
	}
	return set
}

// topicsOf are the topics of events.
func topicsOf(events []lifecycle.Event) (topics lifecycle.Topics) {
	for i := range events {
		topics |= 1 << events[i].Topic
	}
	return topics
}

// warn says that something failed which is tried again. What fails when ctx has ended is no news: it failed because of that, and
// nobody here tries it again.
func warn(ctx context.Context, logger *slog.Logger, doing string, err error) {
	if ctx.Err() != nil || errors.Is(err, errLeftAlone) {
		return
	}
	logger.WarnContext(ctx, "executor: will try again", "doing", doing, "error", err)
}

// together runs functions side by side and returns when all have.
func together(all ...func()) {
	var g sync.WaitGroup
	for _, f := range all {
		g.Go(f)
	}
	g.Wait()
}
