package memory

import (
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/form"
)

// A dump is a way into the store like the verbs, so its texts get the form in which these store them.

func cleanHold(h lifecycle.Hold) lifecycle.Hold {
	h.Note, h.By = form.Text(h.Note), form.Text(h.By)
	return h
}

// checkZones sees that zones have names. They cannot be cleaned: two might become one.
func checkZones(zones map[string]int64) error {
	for name := range zones {
		if form.Text(name) != name {
			return invalid.New("Zones", name, "must be names of zones")
		}
	}
	return nil
}

func (r *jobRow) clean() {
	r.Error, r.Progress.Message = form.Text(r.Error), form.Text(r.Progress.Message)
	for i := range r.Lines {
		r.Lines[i].Text = form.Text(r.Lines[i].Text)
	}
	r.History = r.History[max(0, len(r.History)-queue.MaxHistory):]
	for i := range r.History {
		a := &r.History[i]
		a.Error, a.By = queue.CleanText(a.Error, queue.MaxAttemptError), queue.CleanText(a.By, queue.MaxActor)
	}
}

func (r *eventsRow) clean() {
	for i := range r.Events {
		e := &r.Events[i]
		e.Kind, e.Reason = lifecycle.EventKind(form.Text(string(e.Kind))), lifecycle.Reason(form.Text(string(e.Reason)))
		e.Message, e.Actor, e.Note = form.Text(e.Message), form.Text(e.Actor), form.Text(e.Note)
	}
}

// restorePause takes a pause through the checks of its verb.
func (s *Jobs) restorePause(p queue.Pause) error {
	p, err := p.Normalize()
	if err != nil {
		return invalid.Within("Pause", err)
	}
	s.pauses[p.Scope] = p
	return nil
}
