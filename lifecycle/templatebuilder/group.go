package templatebuilder

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/rendercache"
)

// group is the preparation of the builds of one version.
type group[F, R any] struct {
	*Builder[F, R]
	version uuid.UUID
	kept    *rendercache.Holder[uuid.UUID, F] // the group's own reference, from its first render to its end

	mu  sync.Mutex
	err error // of a fetch that failed: the version is not asked for again by this group
}

// Build implements [executor.Preparation].
func (g *group[F, R]) Build(ctx context.Context, r executor.BuildRequest) (executor.BuildSpec, error) {
	return g.cfg.Build(ctx, r, Template[R]{renderer: g, owner: g.cfg.Owner(r)})
}

// Close implements [executor.Preparation]. A render that still runs because another group waits for it keeps what it uses
// until it has ended.
func (g *group[F, R]) Close() error {
	g.kept.Close()
	return nil
}

// cached renders through the cache.
func (g *group[F, R]) cached(ctx context.Context, owner uuid.UUID, params map[string]string) (R, error) {
	key := rendercache.KeyOf(g.version, owner, params)
	render := func(ctx context.Context) (R, error) { return g.uncached(ctx, owner, params) }
	if m, ok := g.memo.(explainer[R]); ok {
		res, err := m.Do(ctx, rendercache.Request[rendercache.Key, R]{Key: key, Render: render, Params: params})
		return res.Value, err
	}
	return g.memo.Render(ctx, key, render)
}

// explainer is a memo that reports why it did not find a result; [rendercache.Cache] is one.
type explainer[R any] interface {
	Do(context.Context, rendercache.Request[rendercache.Key, R]) (rendercache.Result[R], error)
}

// uncached renders, with a handle of its own: it may outlive the group that started it.
func (g *group[F, R]) uncached(ctx context.Context, owner uuid.UUID, params map[string]string) (result R, err error) {
	handle, err := g.acquire(ctx)
	if err != nil {
		return result, err
	}
	defer handle.Release()
	return g.cfg.Render(ctx, Input[F]{Shared: handle.Value(), Version: g.version, Owner: owner, Params: params})
}

// acquire returns a handle on what the version needs, and has the group keep it as well.
func (g *group[F, R]) acquire(ctx context.Context) (*rendercache.Handle[F], error) {
	if err := g.failure(); err != nil {
		return nil, err
	}
	fetch := func(ctx context.Context) (F, error) { return g.cfg.Fetch(ctx, g.version) }
	handle, err := g.handles.Acquire(ctx, g.version, fetch)
	if err != nil {
		err = fmt.Errorf("fetch version %s: %w", g.version, err)
		if ctx.Err() == nil {
			g.fail(err)
		}
		return nil, err
	}
	// Held already, so this does not wait. It fails when the group has ended, which needs nothing kept, or when the
	// handles' Check refuses; then there is no handle either.
	_, _ = g.kept.Acquire(ctx, g.version, fetch)
	return handle, nil
}

func (g *group[F, R]) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *group[F, R]) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
}
