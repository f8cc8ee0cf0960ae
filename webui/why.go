package webui

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// whyView is the reasons of one workspace. Its texts are those of lifecycle.Explain, as the command line and JSON have them.
type whyView struct {
	Missing         string
	ID              uuid.UUID
	Name            string
	Template, Owner string
	Status          lifecycle.Status
	Summary         string
	Holds           []string
	Error           string
	Job             string
	Rules           []ruleView
	Wants           []want
	Steps           []string
	Buttons         []button
	// Holds that can be set are offered until these instants; none where the viewer may not. Held: it has one of its own.
	HoldUntil []choice
	Held      bool
}

type ruleView struct {
	Rule, Verdict, Icon, Compared, Because string
}

// want is what has to change for something to happen.
type want struct{ What, Needs string }

var verdictIcons = map[lifecycle.Verdict]string{
	lifecycle.VerdictActs: "s-ok", lifecycle.VerdictDue: "s-ok", lifecycle.VerdictWaits: "s-wait",
	lifecycle.VerdictHeld: "s-held", lifecycle.VerdictOff: "s-off",
}

// shownSteps is how many steps of the future the panel lists.
const shownSteps = 5

func (h *Handler) whyView(ctx context.Context, id uuid.UUID, q queueView, c clock, who Viewer) whyView {
	s, err := h.source.Workspace(ctx, id)
	switch {
	case errors.Is(err, lifecycle.ErrNotFound), err == nil && s.Workspace.Deleted:
		return whyView{Missing: "There is no workspace with this id any more."}
	case err != nil: // it may be there all the same
		return whyView{Missing: h.unread(ctx, "this workspace", err)}
	}
	x := lifecycle.Explain(s, c.now)
	v := whyView{
		ID: id, Name: x.Workspace, Template: s.Template.Name, Owner: s.Owner.Name, Status: x.Status,
		Summary: x.Summary, Holds: x.Holds, Error: x.Error,
	}
	if j, ok := q.byID[id]; ok {
		v.Job = j.Text
	}
	for _, r := range x.Rules {
		v.Rules = append(v.Rules, ruleView{
			Rule: word(r.Rule), Verdict: string(r.Verdict), Icon: verdictIcons[r.Verdict], Compared: r.Compared, Because: because(r, c),
		})
	}
	v.Wants = wants(x, c)
	for step := range forecast.Upcoming(s, c.now, time.Time{}, forecast.Assumptions{}) {
		if len(v.Steps) == shownSteps {
			break
		}
		v.Steps = append(v.Steps, step.String())
	}
	v.Buttons = h.buttons(&s, c, who)
	if h.mayAct(who) && who.Operator {
		v.HoldUntil, v.Held = holdChoices(c), s.Workspace.Hold.Until.After(c.now)
	}
	return v
}

// holdChoices are how long a workspace can be held from the page; the command line and the API take any instant.
func holdChoices(c clock) (list []choice) {
	for _, days := range []int{1, 7, 28} {
		until := c.in(c.now).AddDate(0, 0, days).Truncate(time.Minute)
		list = append(list, choice{Value: until.UTC().Format(time.RFC3339), Text: c.stamp(until) + ", " + c.from(until)})
	}
	return list
}

// because adds when a verdict changes to why it is as it is.
func because(r lifecycle.RuleExplanation, c clock) string {
	parts := make([]string, 0, 2)
	if r.Because != "" {
		parts = append(parts, r.Because)
	}
	if !r.ChangesAt.IsZero() {
		parts = append(parts, c.stamp(r.ChangesAt)+", "+c.from(r.ChangesAt))
	}
	return strings.Join(parts, "; ")
}

// wants says for the four things that people ask about what keeps them from happening by themselves.
func wants(x lifecycle.Explanation, c clock) (list []want) {
	for _, ask := range []struct {
		rule lifecycle.Rule
		what string
	}{
		{lifecycle.RuleAutostart, "to start"},
		{lifecycle.RuleAutostop, "to stop"},
		{lifecycle.RuleDormancy, "to go dormant"},
		{lifecycle.RuleAutodelete, "to be deleted"},
	} {
		for _, r := range x.Rules {
			if r.Rule == ask.rule {
				list = append(list, want{ask.what, needs(r, c)})
			}
		}
	}
	return list
}

func needs(r lifecycle.RuleExplanation, c clock) string {
	switch r.Verdict {
	case lifecycle.VerdictActs, lifecycle.VerdictDue:
		return "nothing: it is due now"
	case lifecycle.VerdictWaits:
		return "nothing but time: " + c.stamp(r.ChangesAt) + ", " + c.from(r.ChangesAt)
	case lifecycle.VerdictHeld:
		return "what keeps it back has to end: " + because(r, c)
	}
	return "this has to change: " + r.Because
}
