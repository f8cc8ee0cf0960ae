package templatebuilder

import (
	"context"

	"github.com/google/uuid"
)

// Template is what a build asks for renders of its template version, for its owner.
type Template[R any] struct {
	renderer renderer[R]
	owner    uuid.UUID
}

// renderer is a group without the type of what its version needs.
type renderer[R any] interface {
	through(ctx context.Context, owner uuid.UUID, params map[string]string) (R, error)
	around(ctx context.Context, owner uuid.UUID, params map[string]string) (R, error)
}

// Render returns the version rendered with the parameters, from the cache if it is there. The result is shared and must
// not be changed, nor must the parameters be from now on. See rendercache.Cache for who waits and who works.
func (t Template[R]) Render(ctx context.Context, params map[string]string) (R, error) {
	return t.renderer.through(ctx, t.owner, params)
}

// Look renders around the cache: nothing is looked up, kept or counted. It is for a first pass that only looks for
// something, such as the parameters that were meant for one build only, so that it leaves no entries that nobody asks
// for again.
func (t Template[R]) Look(ctx context.Context, params map[string]string) (R, error) {
	return t.renderer.around(ctx, t.owner, params)
}
