package templatebuilder

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/rendercache"
)

// Config is the host's part. F is what a version needs, R what a render gives.
type Config[F, R any] struct {
	// Fetch returns what all renders of a template version share. Its context ends when nobody waits for it any more.
	// Required.
	Fetch func(ctx context.Context, version uuid.UUID) (F, error)

	// Render renders a version for an owner with parameters. The input's fields are good until it returns; what must
	// live longer belongs into the result. Whatever else it reads has to be told to the cache when it changes. It may
	// return its result with rendercache.ErrNoStore. Required.
	Render func(ctx context.Context, in Input[F]) (R, error)

	// Build describes one build, as lifecycle.Preparation does: it finds out the parameters, has the template rendered,
	// and makes the job's tags and payload of the result. A lifecycle.RefusalError of it, or of Render, is passed on. A
	// build that needs no rendering does not ask for it. Required.
	Build func(ctx context.Context, r executor.BuildRequest, t Template[R]) (executor.BuildSpec, error)

	// Owner returns whose data a build's render may read. Renders of different owners are never shared, so builds
	// that are for nobody yet (a warm pool's) should all name one owner. Defaults to the workspace's owner.
	Owner func(executor.BuildRequest) uuid.UUID
}

// Input is what a render reads.
type Input[F any] struct {
	// Shared is what Fetch returned, used by other renders at the same time.
	Shared F
	// Version and Owner are those of the key.
	Version, Owner uuid.UUID
	// Params are the parameters as they were given to [Template.Render].
	Params map[string]string
}

// Handles share what versions need, by version id.
type Handles[F any] = rendercache.Handles[uuid.UUID, F]

// Memo is the cache of results.
type Memo[R any] = rendercache.Memo[rendercache.Key, R]

// Builder implements lifecycle.Builder. Its methods may be called from any goroutine.
type Builder[F, R any] struct {
	cfg     Config[F, R]
	handles *Handles[F]
	memo    Memo[R]
}

// New returns a builder on handles and a cache that the host owns and closes after the executor has ended. A nil memo
// keeps nothing. It fails when something required is missing.
func New[F, R any](handles *Handles[F], memo Memo[R], cfg Config[F, R]) (*Builder[F, R], error) {
	switch {
	case handles == nil:
		return nil, errors.New("templatebuilder: handles are nil: they are required, see rendercache.NewHandles")
	case cfg.Fetch == nil:
		return nil, errors.New("templatebuilder: Config.Fetch is nil: it is required")
	case cfg.Render == nil:
		return nil, errors.New("templatebuilder: Config.Render is nil: it is required")
	case cfg.Build == nil:
		return nil, errors.New("templatebuilder: Config.Build is nil: it is required")
	}
	if memo == nil {
		memo = rendercache.Noop[rendercache.Key, R]{}
	}
	if cfg.Owner == nil {
		cfg.Owner = func(r executor.BuildRequest) uuid.UUID { return r.Snapshot.Workspace.OwnerID }
	}
	return &Builder[F, R]{cfg: cfg, handles: handles, memo: memo}, nil
}

// Prepare implements lifecycle.Builder. It fetches nothing yet: a group whose results are all known needs nothing.
func (b *Builder[F, R]) Prepare(_ context.Context, g executor.Group) (executor.Preparation, error) {
	return &group[F, R]{Builder: b, version: g.TemplateVersionID, kept: b.handles.NewHolder()}, nil
}
