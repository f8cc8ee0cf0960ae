package templatebuilder

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/rendercache"
)

// Config configures a [Builder]. F is what the renders of a version share, R is the result of a render.
type Config[F, R any] struct {
	// Fetch returns what all renders of a template version share. Its context ends when no caller waits for it.
	// Required.
	Fetch func(ctx context.Context, version uuid.UUID) (F, error)

	// Render renders a version for an owner with parameters. The input is valid until it returns; what must live longer
	// belongs in the result. If it reads anything else, the host invalidates the cache when that changes. It may return its
	// result with [rendercache.ErrNoStore]. Required.
	Render func(ctx context.Context, in Input[F]) (R, error)

	// Build describes one build, as [executor.Preparation] does: it determines the parameters, has the template rendered,
	// and makes the job's tags and payload from the result. An [executor.RefusalError] from it or from Render is passed on.
	// A build that needs no rendering asks for none. Required.
	Build func(ctx context.Context, r executor.BuildRequest, t Template[R]) (executor.BuildSpec, error)

	// Owner returns the owner whose data a build's render may read. Renders of different owners are never shared, so
	// builds without an owner yet (those of a warm pool) should all name the same one. Defaults to the workspace's owner.
	Owner func(executor.BuildRequest) uuid.UUID
}

// Input is what a render reads.
type Input[F any] struct {
	// Shared is what Fetch returned, used by other renders at the same time.
	Shared F
	// Version and Owner are those of the key.
	Version, Owner uuid.UUID
	// Params are the parameters that [Template.Render] was called with.
	Params map[string]string
}

// Handles share what the renders of a version need, by version id.
type Handles[F any] = rendercache.Handles[uuid.UUID, F]

// Memo is the cache of results.
type Memo[R any] = rendercache.Memo[rendercache.Key, R]

// Builder implements [executor.Builder]. Its methods may be called from any goroutine.
type Builder[F, R any] struct {
	cfg     Config[F, R]
	handles *Handles[F]
	memo    Memo[R]
}

// New returns a builder over handles and a cache, which the host owns and closes after the executor has ended. Without a
// memo (nil) no result is kept. The error, an [invalid.Error], names what is required and missing.
func New[F, R any](handles *Handles[F], memo Memo[R], cfg Config[F, R]) (*Builder[F, R], error) {
	for _, required := range []struct {
		field   string
		missing bool
	}{
		{"handles", handles == nil}, {"Config.Fetch", cfg.Fetch == nil}, {"Config.Render", cfg.Render == nil}, {"Config.Build", cfg.Build == nil},
	} {
		if required.missing {
			return nil, fmt.Errorf("new template builder: %w", invalid.New(required.field, nil, "is required"))
		}
	}
	if memo == nil {
		memo = rendercache.Noop[rendercache.Key, R]{}
	}
	if cfg.Owner == nil {
		cfg.Owner = func(r executor.BuildRequest) uuid.UUID { return r.Snapshot.Workspace.OwnerID }
	}
	return &Builder[F, R]{cfg: cfg, handles: handles, memo: memo}, nil
}

// Prepare implements [executor.Builder]. It fetches nothing yet: a group whose results are all cached needs nothing.
func (b *Builder[F, R]) Prepare(_ context.Context, g executor.Group) (executor.Preparation, error) {
	return &group[F, R]{Builder: b, version: g.TemplateVersionID, kept: b.handles.NewHolder()}, nil
}
