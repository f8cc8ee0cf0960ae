package lifecycle

import (
	"context"
	"errors"

	"github.com/google/uuid"
)

// Wrapper is a store around another one: a host's own that counts, traces or delays calls. It should embed [Store] and have
// this method, or whatever the inner store is able to do beyond [Store] is lost.
type Wrapper interface {
	Store
	// Unwrap returns the inner store.
	Unwrap() Store
}

// Ability finds an ability of a store, such as [Outbox] or [Waker]: that of the store itself or, if it has none and is a
// [Wrapper], that of the store inside. A call of an ability that was found inside does not pass through the wrapper; one that
// wants to see it has the methods itself.
func Ability[T any](s Store) (ability T, ok bool) {
	for s != nil {
		if ability, ok = s.(T); ok {
			return ability, true
		}
		w, wraps := s.(Wrapper)
		if !wraps {
			break
		}
		s = w.Unwrap()
	}
	return ability, false
}

// Remover deletes templates and owners that nobody uses any more.
type Remover interface {
	// DeleteTemplate deletes a template that no workspace has, deleted ones that were not pruned included; with one it
	// returns [ErrInUse]. That there is no such template is no error.
	DeleteTemplate(ctx context.Context, id uuid.UUID) error
	// DeleteOwner does the same for an owner.
	DeleteOwner(ctx context.Context, id uuid.UUID) error
}

// ErrInUse says that what was to be deleted is needed: a template or an owner still has workspaces, or a person who was to be
// forgotten has something.
var ErrInUse = errors.New("still in use")
