package executor

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Executor makes the transitions of the workspaces in a store. It is safe for concurrent use, and any number of executors,
// in any number of processes, may work on one store.
type Executor struct {
	// Client is the executor's own: what it changes, a precise Run and the relays notice at once.
	*Client

	cfg    Config
	events *eventMetrics
	ticks  *tickMetrics
	relays []*relay
	pruner *pruner // nil if nothing is pruned
	// replica identifies this executor among those that tick on the store.
	replica uuid.UUID
	// ticking is held by the tick that runs: ticks of one executor do not overlap.
	ticking  chan struct{}
	settling settling
	share    share
	absent   absent
	// spare are the batches of the last tick, which the next one fills again: as many as are committed at once, and one more.
	spare []batch
	ran   atomic.Bool
	last  atomic.Pointer[Stats]
}

// New returns an executor over a store. It starts nothing: call [Executor.Run], or [Executor.Tick] from a scheduler of
// the host. The error names the field of the configuration that cannot be used.
func New(store lifecycle.Store, cfg Config) (*Executor, error) {
	e, err := newExecutor(store, cfg.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("new executor: %w", err)
	}
	return e, nil
}

func newExecutor(store lifecycle.Store, cfg Config) (*Executor, error) {
	if store != nil {
		if err := cfg.validate(store); err != nil {
			return nil, err
		}
	}
	sinks := cfg.sinks()
	signals := &signals{wake: make(chan struct{}, 1), events: make(map[lifecycle.Topic]chan struct{}, len(sinks))}
	for topic := range sinks {
		signals.events[topic] = make(chan struct{}, 1)
	}
	c, err := newClient(store, cfg.client(), "Config", signals)
	if err != nil {
		return nil, err
	}
	cfg.PageSize, cfg.BatchSize = c.cfg.PageSize, c.cfg.BatchSize
	names := metricNames{c.cfg.Namespace, c.cfg.Instance}
	e := &Executor{
		Client: c, cfg: cfg, events: newEventMetrics(names), ticks: newTickMetrics(names, c.store),
		ticking: make(chan struct{}, 1),
	}
	for topic, sink := range sinks {
		e.relays = append(e.relays, e.newRelay(topic, sink))
	}
	e.pruner = newPruner(c.store, cfg, e.events)
	if e.replica, err = c.builds.ids.next(e.clock.Now("executor", "new")); err != nil {
		return nil, err
	}
	c.metrics, err = register(cfg.Registerer, c.made, c.dropped, e.events.delivered, e.ticks.collectors())
	return e, err
}

func (e *Executor) newRelay(topic lifecycle.Topic, sink Sink) *relay {
	return &relay{
		topic: topic, sink: sink, outbox: e.store, caller: e.caller, wrote: e.signals.events[topic],
		interval: e.cfg.RelayInterval, timeout: e.cfg.DeliveryTimeout, concurrency: e.cfg.Concurrency, metrics: e.events,
	}
}

// Relay delivers the events that are waiting, those of different topics side by side, and returns how many were received.
// Run does this by itself; a host that drives ticks calls it after them. Any number of relays may work on one store. The
// error is the store's; a sink that fails only delays its own event.
func (e *Executor) Relay(ctx context.Context) (delivered int, err error) {
	if ctx == nil {
		return 0, invalid.New("ctx", nil, "is required")
	}
	var sum atomic.Int64
	errs := make([]error, len(e.relays))
	all := make([]func(), len(e.relays))
	for i, r := range e.relays {
		all[i] = func() {
			n, err := r.deliverWaiting(ctx)
			sum.Add(int64(n))
			errs[i] = err
		}
	}
	together(all...)
	return int(sum.Load()), errors.Join(errs...)
}
