package storetest

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// testUnreadableState has a template whose state this version cannot read, as a later one has written it. What would have to
// change it is refused, and it stays as it is. A hold of which alone that is true goes where another takes its place.
func testUnreadableState(f *fixture) {
	const text = `{"floors":7,"later":true}`
	s := f.besides(func(*lifecycle.Template, *lifecycle.Workspace) {})
	f.corrupt("state", s.Template.ID, text)
	read := func() lifecycle.Template { return f.load(s.Workspace.ID).Template }
	for what, change := range map[string]func(*lifecycle.Template){
		"a release":       func(t *lifecycle.Template) { t.Hold = lifecycle.Hold{} },
		"another hold":    func(t *lifecycle.Template) { t.Hold = lifecycle.Hold{Until: epoch.Add(time.Hour), By: "ann"} },
		"another policy":  func(t *lifecycle.Template) { t.Policy.DefaultTTL = 7 * time.Hour },
		"another version": func(t *lifecycle.Template) { t.ActiveVersionID = uuid.New() },
	} {
		before, next := read(), read()
		change(&next)
		f.kept(what, f.s.PutTemplate(f.ctx, epoch, next))
		f.rule(read() == before, "%s: nothing else of the template changes: got %+v, want %+v", what, read(), before)
	}
	named := read()
	named.Name = "renamed"
	f.must(f.s.PutTemplate(f.ctx, epoch, named))
	named = read()
	back, err := named.MarshalState()
	f.must(err)
	f.rule(named.Name == "renamed" && string(back) == text, "what is not in the state may change: got %q and %s, want %s", named.Name, back, text)

	f.corrupt("state", s.Template.ID, `{"hold":{"until":"2027-01-01T00:00:00Z","rules":"naps"},"later":true}`)
	next := read()
	next.Hold = lifecycle.Hold{}
	f.must(f.s.PutTemplate(f.ctx, epoch, next))
	f.rule(read().Hold.Until.IsZero(), "a hold that cannot be read is released: got %+v", read().Hold)
}

// testUnreadableEngine has an engine of which that is true.
func testUnreadableEngine(f *fixture) {
	h, sub := skipUnless[lifecycle.Holder](f), skipUnless[lifecycle.Subscriber](f)
	const text = `{"settle_until":"tomorrow","topics":2}`
	f.corrupt("engine", f.template.ID, text)
	e, err := h.Engine(f.ctx)
	f.must(err)
	f.rule(!e.Hold.Until.IsZero(), "an engine that cannot be read holds everything")
	f.rule(e.Topics == 1<<lifecycle.TopicNotice, "its topics can be read all the same, and the events of them are written: got %v", e.Topics.List())
	released := e
	released.DeletionsReleasedUntil = epoch.Add(time.Hour)
	f.kept("a release", h.PutEngine(f.ctx, epoch, lifecycle.Engine{}))
	f.kept("a release of the brake", h.PutEngine(f.ctx, epoch, released))
	f.kept("another topic", sub.ChangeTopics(f.ctx, 1<<lifecycle.TopicAudit, 0))
	f.must(h.PutEngine(f.ctx, epoch, e))
	if settler, ok := f.s.(lifecycle.Settler); ok {
		for _, at := range []time.Time{epoch, epoch.Add(time.Hour)} { // ticks go on
			_, err := settler.Ticked(f.ctx, at, time.Minute, time.Minute)
			f.must(err)
		}
	}
	e, err = h.Engine(f.ctx)
	f.must(err)
	back, err := e.MarshalState()
	f.must(err)
	f.rule(string(back) == text, "it is kept as it is: got %s, want %s", back, text)
}

// kept sees that a call was refused because of what cannot be read, and not as an outage.
func (f *fixture) kept(what string, err error) {
	f.Helper()
	f.rule(errors.Is(err, lifecycle.ErrUnreadable) && !errors.Is(err, lifecycle.ErrUnavailable), "%s: what cannot be read is not changed: error %v", what, err)
}
