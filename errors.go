package dormouse

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// Errors of the plane's own. The others are those of the engines; [ProblemOf] knows them all.
var (
	// ErrExists says that the id is taken by something else.
	ErrExists = errors.New("exists already")
	// ErrNotRunning says that a workspace does not run, which the request needs.
	ErrNotRunning = errors.New("workspace is not running")
	// ErrChanged says that the workspace is not as the caller saw it; see [IfRevision].
	ErrChanged = errors.New("workspace has changed")
)

// NotFoundError says what is not there. It matches [lifecycle.ErrNotFound].
type NotFoundError struct {
	// Kind is "workspace", "template", "owner" or "build".
	Kind string    `json:"kind"`
	ID   uuid.UUID `json:"id"`
}

// Error implements error.
func (e *NotFoundError) Error() string { return fmt.Sprintf("there is no %s %s", e.Kind, e.ID) }

// Is makes errors.Is(err, lifecycle.ErrNotFound) true.
func (e *NotFoundError) Is(target error) bool { return target == lifecycle.ErrNotFound }
