package webui

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// button is an action that a page offers. One that cannot be used says why.
type button struct {
	Kind     ActionKind
	Text     string
	Says     string
	Until    string
	Disabled bool
	Main     bool
}

// buttons are what a viewer can do to a workspace. Whether they can, and what then is, says the verb itself, asked about the
// workspace as it is.
func (h *Handler) buttons(s *lifecycle.Snapshot, c clock, who Viewer) []button {
	if !h.mayAct(who) {
		return nil
	}
	var list []button
	switch status := s.Status(); {
	case status == lifecycle.StatusDormant:
		list = append(list, try(button{Kind: ActWake, Text: "Wake up", Says: "It stays, and starts when you start it.", Main: true},
			lifecycle.EndDormancy(), s, c))
	case runs(s):
		list = append(list, extendButton(s, c))
		list = append(list, try(button{Kind: ActStop, Text: "Stop", Says: "Now. " + nextStart(s, c)},
			lifecycle.RequestBuild(lifecycle.TransitionStop, uuid.Nil), s, c))
	default:
		list = append(list, try(button{Kind: ActStart, Text: "Start", Says: "Now.", Main: true},
			lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil), s, c))
	}
	if who.Operator && !s.Workspace.AttentionAt.IsZero() {
		list = append(list, try(button{Kind: ActRetry, Text: "Try again", Says: "Automatic builds go on."}, lifecycle.ClearAttention(), s, c))
	}
	return list
}

// extendButton moves the deadline by an hour, or up to its cap.
func extendButton(s *lifecycle.Snapshot, c clock) button {
	b := button{Kind: ActExtend, Text: "+1 h"}
	if s.Build.Deadline.IsZero() {
		b.Disabled, b.Says = true, "It has no deadline, so there is no stop to move."
		return b
	}
	until := s.Build.Deadline.Add(time.Hour)
	if limit := s.Build.MaxDeadline; !limit.IsZero() && until.After(limit) {
		until = limit
	}
	b.Until = until.UTC().Format(time.RFC3339Nano)
	b.Says = fmt.Sprintf("Stops at %s instead.", c.stamp(until))
	b.Main = s.Build.Deadline.Sub(c.now) < time.Hour
	return try(b, lifecycle.Extend(until), s, c)
}

// try asks a verb whether it would do what a button offers.
func try(b button, v lifecycle.Verb, s *lifecycle.Snapshot, c clock) button {
	if _, err := v(*s, c.now); err != nil {
		b.Disabled, b.Main, b.Says = true, false, refusal(err)
	}
	return b
}

// refusal says why not, in a sentence.
func refusal(err error) string {
	switch {
	case errors.Is(err, lifecycle.ErrBuildActive):
		return "A build is under way; wait until it has ended."
	case errors.Is(err, lifecycle.ErrUnchanged):
		return "It is so already."
	}
	return "Not now: " + err.Error() + "."
}

// nextStart says when the schedule starts a workspace that is stopped now.
func nextStart(s *lifecycle.Snapshot, c clock) string {
	if s.Workspace.Autostart == nil || s.Workspace.Autostart.Err() != nil || !s.Template.Policy.AllowUserAutostart {
		return "Nothing starts it by itself."
	}
	at, ok := s.Workspace.Autostart.NextAllowed(c.now, s.Template.Policy.AutostartDays)
	if !ok {
		return "Nothing starts it by itself."
	}
	return "Its schedule starts it " + c.stamp(at) + "."
}

// actions are the buttons of one workspace, and the page they come back to.
type actions struct {
	ID      uuid.UUID
	Name    string
	Back    string
	Buttons []button
}

func (v whyView) actions() actions { return actions{ID: v.ID, Name: v.Name, Buttons: v.Buttons} }
func (v card) actions() actions    { return actions{ID: v.ID, Name: v.Name, Buttons: v.Buttons} }

func actionsOf(of interface{ actions() actions }, back string) actions {
	a := of.actions()
	a.Back = back
	return a
}
