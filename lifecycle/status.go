package lifecycle

// Status is what a workspace is at the moment, in one word: for lists, filters and labels. It is derived from the
// snapshot and never stored; rules and verbs read the snapshot itself.
type Status uint8

// The statuses. A workspace has the first one that applies, in this order: deleted, managed, the one of an active build
// (canceling, starting, stopping, deleting), needs attention, dormant, then the one of its latest build.
const (
	// StatusNew: no build was ever made.
	StatusNew Status = iota
	// StatusStarting: the job of a start is pending or running.
	StatusStarting
	// StatusRunning: the latest build is a start that succeeded.
	StatusRunning
	// StatusStopping: the job of a stop is pending or running.
	StatusStopping
	// StatusStopped: the latest build is a stop that succeeded.
	StatusStopped
	// StatusDeleting: the job of a delete is pending or running.
	StatusDeleting
	// StatusDeleted: a delete succeeded. It is final.
	StatusDeleted
	// StatusCanceling: the job of the latest build was asked to end early.
	StatusCanceling
	// StatusCanceled: the job of the latest build was canceled. What it was to change may be half done.
	StatusCanceled
	// StatusFailed: the job of the latest build failed. What it was to change may be half done.
	StatusFailed
	// StatusDormant: the workspace was unused for too long, or marked dormant by hand, and no longer starts by itself.
	StatusDormant
	// StatusNeedsAttention: the automatic retries ran out without success; a person has to look.
	StatusNeedsAttention
	// StatusManaged: something else, such as a warm pool, controls the workspace, and no rule applies.
	StatusManaged
)

var statusNames = names[Status]{
	"new", "starting", "running", "stopping", "stopped", "deleting", "deleted", "canceling", "canceled", "failed", "dormant",
	"needs_attention", "managed",
}

// String returns the name in lower case, words joined by an underscore.
func (s Status) String() string { return statusNames.name(s) }

// MarshalText implements encoding.TextMarshaler.
func (s Status) MarshalText() ([]byte, error) { return statusNames.marshal("Status", s) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Status) UnmarshalText(b []byte) error { return statusNames.unmarshal("Status", s, b) }

// Status returns the status of the workspace. Its order is that in which the rules ask what suspends them.
func (s *Snapshot) Status() Status {
	switch w, b := &s.Workspace, &s.Build; {
	case w.Deleted:
		return StatusDeleted
	case w.Managed:
		return StatusManaged
	case b.Status.Active():
		return activeStatus(b)
	case !w.AttentionAt.IsZero():
		return StatusNeedsAttention
	case dormant(s):
		return StatusDormant
	default:
		return endedStatus(b)
	}
}

func activeStatus(b *Build) Status {
	switch {
	case b.Status == JobCanceling:
		return StatusCanceling
	case b.Transition == TransitionStop:
		return StatusStopping
	case b.Transition == TransitionDelete:
		return StatusDeleting
	}
	return StatusStarting
}

func endedStatus(b *Build) Status {
	switch {
	case b.Status == JobFailed:
		return StatusFailed
	case b.Status == JobCanceled:
		return StatusCanceled
	case b.Transition == TransitionStart:
		return StatusRunning
	case b.Transition == TransitionStop:
		return StatusStopped
	case b.Transition == TransitionDelete:
		return StatusDeleted
	}
	return StatusNew
}
