package lifecycle

func armReminder(s *Snapshot) armed {
	switch b := &s.Build; {
	case s.Template.Policy.ReminderLead <= 0:
		return not(thresholdOff)
	case !runs(s):
		return not(notRunning)
	case b.Deadline.IsZero():
		return not(noDeadline)
	case dormant(s):
		return not(isDormant)
	case s.Owner.Status == OwnerSuspended:
		return not(ownerNotActive)
	case s.Workspace.RemindedFor.Equal(b.Deadline):
		return not(alreadyReminded)
	}
	lead := s.Template.Policy.ReminderLead
	a := reached(stopAt(s), -lead)
	if s.Template.Policy.ActivityBump > 0 {
		// Somebody who is active will see the deadline move; unless the cap is what stops them.
		quiet := at(s.Workspace.LastUsedAt).plus(recentUse)
		if !s.Build.MaxDeadline.IsZero() {
			quiet = min(quiet, at(s.Build.MaxDeadline).plus(-lead))
		}
		a.at = max(a.at, quiet)
	}
	return a
}

// stopAt returns when the deadline will take effect, holds included.
func stopAt(s *Snapshot) instant {
	a := armAutostop(s)
	return actsAfter(RuleAutostop, a, s, a.at)
}

// armDeleteReminder is for deletions that nobody was told of when they were set for good: those of stopped workspaces, and
// those that the end of a hold or another grace moved. The owner of a dormant one was told when it went dormant.
func armDeleteReminder(s *Snapshot) armed {
	a := armAutodelete(s)
	if !a.is() {
		return a
	}
	if s.Build.Transition == TransitionDelete {
		return not(alreadyTold)
	}
	deleted := released(s, HoldDeletion, a.at)
	switch {
	case dormant(s) && deleted == a.at:
		return not(alreadyTold)
	case at(s.Workspace.RemindedFor) == deleted:
		return not(alreadyReminded)
	}
	return reached(deleted, -deleteGrace)
}

// remindAt bounds a reminder by what it counts back from. A hold does not silence it: it warns of what follows.
func remindAt(a armed, now instant) (armed, instant) {
	if remind := max(a.at, now); remind < a.since {
		return a, remind
	}
	a.obstacle = tooLateToRemind
	return a, never
}
