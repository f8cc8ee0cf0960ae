package lifecycle

func armAutostop(s *Snapshot) armed {
	b := &s.Build
	var a armed
	switch suspended := s.Owner.Status == OwnerSuspended; {
	case !runs(s) && !(suspended && halfStarted(b)):
		return not(notRunning)
	case suspended:
		a = reached(always, 0)
	case !b.Deadline.IsZero():
		a = reached(at(b.Deadline), jitter(s))
	case dormant(s):
		a = reached(at(s.Workspace.DormantAt), 0) // the stop that it was to be put to sleep with did not succeed
	default:
		return not(noDeadline)
	}
	if b.Transition == TransitionStop && b.Status == JobFailed && automatic(b) {
		a.at = max(a.at, at(b.CompletedAt).plus(retryPause(s, s.Workspace.Failures)))
	}
	return a
}

// halfStarted reports whether a start that was canceled may have left something, and no stop after it has succeeded.
func halfStarted(b *Build) bool {
	return b.Transition == TransitionStart && b.Status == JobCanceled ||
		b.Reason == ReasonAutostop && b.Status == JobFailed
}
