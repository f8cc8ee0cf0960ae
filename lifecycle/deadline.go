package lifecycle

// DeadlineSource says where the deadline of a run comes from. It is a closed set.
type DeadlineSource string

// The sources of deadlines.
const (
	// DeadlineNone: there is none.
	DeadlineNone DeadlineSource = ""
	// DeadlineTTL: the run time that the workspace, its template or this start has, from the beginning of the run on.
	DeadlineTTL DeadlineSource = "ttl"
	// DeadlineAutostart: that run time, counted from the workspace's own autostart time, shortly before which it was started.
	DeadlineAutostart DeadlineSource = "autostart"
	// DeadlineAutostop: the workspace's own autostop time.
	DeadlineAutostop DeadlineSource = "autostop"
	// DeadlineMaxRuntime: the longest run that the template allows.
	DeadlineMaxRuntime DeadlineSource = "max_runtime"
	// DeadlineRequirement: the stop in quiet hours that the template requires.
	DeadlineRequirement DeadlineSource = "requirement"
	// DeadlineMoved: activity, a person or a changed policy has moved it since.
	DeadlineMoved DeadlineSource = "moved"
)

// DeadlineFrom says where the deadline of the workspace comes from. It is derived from the snapshot, like its status: a
// deadline that was moved to where it would be anyway counts as not moved.
func (s *Snapshot) DeadlineFrom() DeadlineSource {
	deadline := s.Build.Deadline
	if deadline.IsZero() {
		return DeadlineNone
	}
	since := s.Build.runSince()
	switch is := deadline.Equal; {
	case !is(deadlines(s).Deadline):
		return DeadlineMoved
	case is(later(since, ttl(s))):
		return DeadlineTTL
	case is(at(s.Workspace.Autostop.Next(since)).time()):
		return DeadlineAutostop
	case is(later(since, s.Template.Policy.MaxRuntime)):
		return DeadlineMaxRuntime
	case is(requiredStop(s)):
		return DeadlineRequirement
	}
	return DeadlineAutostart
}
