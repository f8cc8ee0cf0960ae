package executor

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// bounded is the host's store with a limit to each call, and with its abilities, found once. A call that takes too long says
// that the store is unavailable: nobody knows what of it has happened.
type bounded struct {
	*caller
	limit time.Duration
	inner lifecycle.Store

	// nil where the store does not have the ability.
	events     lifecycle.Outbox
	waker      lifecycle.Waker
	watcher    lifecycle.Watcher
	sharder    lifecycle.Sharder
	pruner     lifecycle.Pruner
	registry   lifecycle.Registry
	recorder   lifecycle.Recorder
	gauges     lifecycle.Gauges
	braker     lifecycle.Braker
	settler    lifecycle.Settler
	keeper     lifecycle.ZoneKeeper
	subscriber lifecycle.Subscriber

	// subscribed are the topics of the store, as of the last snapshot read.
	subscribed atomic.Uint32

	// What a tick or a verb can go on without.
	reload, topics, backlog, zones aside
}

var (
	_ lifecycle.Store  = (*bounded)(nil)
	_ lifecycle.Outbox = (*bounded)(nil)
	_ lifecycle.Pruner = (*bounded)(nil)
)

func newBounded(inner lifecycle.Store, limit time.Duration, c *caller) *bounded {
	b := &bounded{caller: c, limit: limit, inner: inner}
	b.events, _ = lifecycle.Ability[lifecycle.Outbox](inner)
	b.waker, _ = lifecycle.Ability[lifecycle.Waker](inner)
	b.watcher, _ = lifecycle.Ability[lifecycle.Watcher](inner)
	b.sharder, _ = lifecycle.Ability[lifecycle.Sharder](inner)
	b.pruner, _ = lifecycle.Ability[lifecycle.Pruner](inner)
	b.registry, _ = lifecycle.Ability[lifecycle.Registry](inner)
	b.recorder, _ = lifecycle.Ability[lifecycle.Recorder](inner)
	b.gauges, _ = lifecycle.Ability[lifecycle.Gauges](inner)
	b.braker, _ = lifecycle.Ability[lifecycle.Braker](inner)
	b.settler, _ = lifecycle.Ability[lifecycle.Settler](inner)
	b.keeper, _ = lifecycle.Ability[lifecycle.ZoneKeeper](inner)
	b.subscriber, _ = lifecycle.Ability[lifecycle.Subscriber](inner)
	return b
}

// Due implements lifecycle.Store.
func (b *bounded) Due(ctx context.Context, q lifecycle.DueQuery) ([]lifecycle.Snapshot, error) {
	return b.learn(ask(ctx, b, "store: due workspaces", func(ctx context.Context) ([]lifecycle.Snapshot, error) { return b.inner.Due(ctx, q) }))
}

// Load implements lifecycle.Store.
func (b *bounded) Load(ctx context.Context, ids ...uuid.UUID) ([]lifecycle.Snapshot, error) {
	return b.learn(ask(ctx, b, "store: load", func(ctx context.Context) ([]lifecycle.Snapshot, error) { return b.inner.Load(ctx, ids...) }))
}

// Reload is Load for those who can go on without.
func (b *bounded) Reload(ctx context.Context, ids ...uuid.UUID) ([]lifecycle.Snapshot, error) {
	return b.learn(askAside(ctx, b, &b.reload, "store: load again", func(ctx context.Context) ([]lifecycle.Snapshot, error) { return b.inner.Load(ctx, ids...) }))
}

// learn takes from snapshots which topics the store has.
func (b *bounded) learn(read []lifecycle.Snapshot, err error) ([]lifecycle.Snapshot, error) {
	if err == nil && len(read) > 0 {
		b.subscribed.Store(uint32(read[len(read)-1].Engine.Topics))
	}
	return read, err
}

// ChangeTopics implements lifecycle.Subscriber.
func (b *bounded) ChangeTopics(ctx context.Context, add, remove lifecycle.Topics) error {
	_, err := askAside(ctx, b, &b.topics, "store: subscribe to topics", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, b.subscriber.ChangeTopics(ctx, add, remove)
	})
	return err
}

// Commit implements lifecycle.Store.
func (b *bounded) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	return ask(ctx, b, "store: commit", func(ctx context.Context) ([]lifecycle.Outcome, error) { return b.inner.Commit(ctx, now, changes) })
}

// hurryParts divides the limit of a call for a commit that is a part of one that took too long.
const hurryParts = 10

// hurried is the store for such commits. A store that needs milliseconds for one has ample time; one that does not answer costs a tick
// little more than the first call did.
type hurried struct{ *bounded }

// Commit implements lifecycle.Store.
func (b hurried) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	return askWithin(ctx, b.bounded, b.limit/hurryParts, "store: commit", func(ctx context.Context) ([]lifecycle.Outcome, error) {
		return b.inner.Commit(ctx, now, changes)
	})
}

// Template is that of the lifecycle.Registry.
func (b *bounded) Template(ctx context.Context, id uuid.UUID) (lifecycle.Template, bool, error) {
	type answer struct {
		template lifecycle.Template
		found    bool
	}
	a, err := ask(ctx, b, "store: template", func(ctx context.Context) (a answer, err error) {
		a.template, a.found, err = b.registry.Template(ctx, id)
		return a, err
	})
	return a.template, a.found, err
}

// List is that of the lifecycle.Registry.
func (b *bounded) List(ctx context.Context, q lifecycle.ListQuery) ([]lifecycle.Snapshot, error) {
	return ask(ctx, b, "store: list", func(ctx context.Context) ([]lifecycle.Snapshot, error) { return b.registry.List(ctx, q) })
}

// PutTemplate puts a template through a writer of the store, or its registry.
func (b *bounded) PutTemplate(ctx context.Context, w templateWriter, now time.Time, t lifecycle.Template) error {
	_, err := ask(ctx, b, "store: put template", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, w.PutTemplate(ctx, now, t)
	})
	return err
}

type templateWriter interface {
	PutTemplate(ctx context.Context, now time.Time, t lifecycle.Template) error
}

// ClaimEvents implements lifecycle.Outbox.
func (b *bounded) ClaimEvents(ctx context.Context, now time.Time, topics []lifecycle.Topic, lease time.Duration, limit int) ([]lifecycle.Event, error) {
	return ask(ctx, b, "store: claim events", func(ctx context.Context) ([]lifecycle.Event, error) {
		return b.events.ClaimEvents(ctx, now, topics, lease, limit)
	})
}

// SettleEvents implements lifecycle.Outbox.
func (b *bounded) SettleEvents(ctx context.Context, now time.Time, deliveries []lifecycle.Delivery) error {
	_, err := ask(ctx, b, "store: settle events", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, b.events.SettleEvents(ctx, now, deliveries)
	})
	return err
}

// PruneEvents implements lifecycle.Outbox.
func (b *bounded) PruneEvents(ctx context.Context, before time.Time, topics []lifecycle.Topic, limit int) ([]lifecycle.Event, error) {
	return ask(ctx, b, "store: prune events", func(ctx context.Context) ([]lifecycle.Event, error) {
		return b.events.PruneEvents(ctx, before, topics, limit)
	})
}

// PruneBuilds implements lifecycle.Pruner.
func (b *bounded) PruneBuilds(ctx context.Context, before time.Time, limit int) (int, error) {
	return ask(ctx, b, "store: prune builds", func(ctx context.Context) (int, error) { return b.pruner.PruneBuilds(ctx, before, limit) })
}

// NextWake implements lifecycle.Waker.
func (b *bounded) NextWake(ctx context.Context, shard lifecycle.Shard) (time.Time, error) {
	return ask(ctx, b, "store: next wake", func(ctx context.Context) (time.Time, error) { return b.waker.NextWake(ctx, shard) })
}

// Shard implements lifecycle.Sharder.
func (b *bounded) Shard(ctx context.Context, now time.Time, replica uuid.UUID, ttl time.Duration) (lifecycle.Shard, error) {
	return ask(ctx, b, "store: shard", func(ctx context.Context) (lifecycle.Shard, error) { return b.sharder.Shard(ctx, now, replica, ttl) })
}

// Backlog implements lifecycle.Gauges.
func (b *bounded) Backlog(ctx context.Context, now time.Time) (lifecycle.Backlog, error) {
	return askAside(ctx, b, &b.backlog, "store: backlog", func(ctx context.Context) (lifecycle.Backlog, error) { return b.gauges.Backlog(ctx, now) })
}

// AdmitDeletions implements lifecycle.Braker.
func (b *bounded) AdmitDeletions(ctx context.Context, now time.Time, limits lifecycle.Brake, due []lifecycle.DueDeletion) ([]uuid.UUID, error) {
	return ask(ctx, b, "store: admit deletions", func(ctx context.Context) ([]uuid.UUID, error) { return b.braker.AdmitDeletions(ctx, now, limits, due) })
}

// Ticked implements lifecycle.Settler.
func (b *bounded) Ticked(ctx context.Context, now time.Time, interval, settle time.Duration) (time.Time, error) {
	return ask(ctx, b, "store: record the tick", func(ctx context.Context) (time.Time, error) { return b.settler.Ticked(ctx, now, interval, settle) })
}

// KeepZones implements lifecycle.ZoneKeeper.
func (b *bounded) KeepZones(ctx context.Context, now time.Time, zones []string, fingerprint func(string) int64) ([]string, error) {
	return askAside(ctx, b, &b.zones, "store: keep zones", func(ctx context.Context) ([]string, error) {
		return b.keeper.KeepZones(ctx, now, zones, fingerprint)
	})
}
