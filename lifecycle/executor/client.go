package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// ErrAlreadyRun is returned by the second call of Run on one [Client] or [Executor].
var ErrAlreadyRun = errors.New("executor: Run was called before")

// Client reads and changes single workspaces on request: it applies verbs, explains, plans and applies policy changes,
// and records activity. It is what a process needs that answers people and never ticks. It is safe for concurrent use;
// any number of clients and executors may work on one store.
type Client struct {
	store    lifecycle.Store
	cfg      ClientConfig
	clock    quartz.Clock
	logger   *slog.Logger
	topics   lifecycle.Topics // those that somebody receives
	builds   *builds
	activity *activity
	signals  *signals
	made     *transitionCounter
	metrics  *registration
	ran      atomic.Bool
	later    *later // what a client within a transaction has to announce
}

// NewClient returns a client of a store. It starts nothing; call [Client.Run] if the process records activity. The error
// names the field of the configuration that cannot be used.
func NewClient(store lifecycle.Store, cfg ClientConfig) (*Client, error) {
	c, err := newClient(store, cfg, "ClientConfig", nil)
	if err != nil {
		return nil, fmt.Errorf("new client: %w", err)
	}
	if c.metrics, err = register(c.cfg.Registerer, c.made); err != nil {
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
	return &Client{
		store: store, cfg: cfg, clock: cfg.Clock, logger: cfg.Logger, topics: setOf(cfg.Topics), signals: signals,
		activity: newActivity(),
		made:     newTransitionCounter(metricNames{cfg.Namespace, cfg.Instance}),
		builds: &builds{
			builder: cfg.Builder, timeout: cfg.BuildTimeout, topics: setOf(cfg.Topics), ids: newIDs(cfg.Rand),
			clock: cfg.Clock, logger: cfg.Logger,
		},
	}, nil
}

// Run writes the recorded activity every ClientConfig.ActivityFlush until ctx ends, and once more after that, for at most
// 10 seconds. It returns nil, also when that last write failed: the log then has the number of workspaces concerned. Run may
// be called once; another call returns [ErrAlreadyRun].
func (c *Client) Run(ctx context.Context) error {
	if !c.ran.CompareAndSwap(false, true) {
		return ErrAlreadyRun
	}
	defer c.Close()
	c.runActivity(ctx)
	c.flushAtEnd(ctx)
	return nil
}

// Close takes the metrics out of the registry. Run does it when it returns; only a process that calls no Run needs Close.
// The client stays usable, and Close may be called again.
func (c *Client) Close() { c.metrics.close() }

// committed announces what a commit has written.
func (c *Client) committed(written lifecycle.Topics, queued []lifecycle.Job) {
	if c.later != nil {
		c.later.add(written, queued)
		return
	}
	c.signals.wrote(written)
	if len(queued) > 0 && c.cfg.Queued != nil {
		c.cfg.Queued(queued)
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
	if s == nil || topics == 0 {
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

func warn(ctx context.Context, logger *slog.Logger, doing string, err error) {
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
