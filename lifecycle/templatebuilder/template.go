package templatebuilder

import (
	"context"

	"github.com/google/uuid"
)

// Template renders the template version of a build, for its owner.
type Template[R any] struct {
	renderer renderer[R]
	owner    uuid.UUID
}

// renderer is a group without the type of what its version needs.
type renderer[R any] interface {
	cached(ctx context.Context, owner uuid.UUID, params map[string]string) (R, error)
	uncached(ctx context.Context, owner uuid.UUID, params map[string]string) (R, error)
}

// Render returns the version rendered with the parameters, from the cache if it is there. The result is shared: it must
// not be changed, nor may the parameters be changed afterwards. [rendercache.Cache] documents who waits and who works.
func (t Template[R]) Render(ctx context.Context, params map[string]string) (R, error) {
	return t.renderer.cached(ctx, t.owner, params)
}

// RenderUncached renders without the cache: nothing is looked up, kept or counted. It is for a first pass over parameters
// that no later build repeats, so that it leaves no entry that nothing asks for again.
func (t Template[R]) RenderUncached(ctx context.Context, params map[string]string) (R, error) {
	return t.renderer.uncached(ctx, t.owner, params)
}
