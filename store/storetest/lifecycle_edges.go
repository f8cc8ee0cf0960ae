package storetest

import (
	"errors"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// testClaimNothing claims a workspace that is not there, at whatever revision.
func testClaimNothing(f *fixture) {
	s, bob := f.pooled(1)[0], f.putOwner("bob")
	for revision := range int64(3) {
		c := f.claim(s, bob, "api")
		c.Workspace.ID, c.Revision = uuid.New(), revision
		f.rule(f.commit(c)[0] == lifecycle.Conflict, "a claim of a workspace that does not exist is a conflict, also at revision %d", revision)
		c = wakeAt(s, epoch)
		c.Workspace.ID, c.Revision = uuid.New(), revision
		f.rule(f.commit(c)[0] == lifecycle.Conflict, "a change of a workspace that does not exist is a conflict, also at revision %d", revision)
	}
}

// testBuildWithoutNumber commits a new build that has none.
func testBuildWithoutNumber(f *fixture) {
	s := f.create(1)[0]
	c := f.build(s, lifecycle.TransitionStart)
	c.Build.Number, c.Events = 0, nil
	_, err := f.s.Commit(f.ctx, epoch, []lifecycle.Change{c})
	var blame *lifecycle.ChangeError
	f.rule(errors.As(err, &blame) && blame.WorkspaceID == s.Workspace.ID, "a new build without a number is a ChangeError: got %v", err)
	f.rule(f.load(s.Workspace.ID) == s, "a change that is refused writes nothing")
}

// testEngineRefused puts an engine whose hold cannot be.
func testEngineRefused(f *fixture) {
	h := skipUnless[lifecycle.Holder](f)
	before, err := h.Engine(f.ctx)
	f.must(err)
	refused := lifecycle.Engine{Hold: lifecycle.Hold{Until: epoch.Add(time.Hour), Rules: lifecycle.HoldAll + 1}}
	f.rule(errors.Is(h.PutEngine(f.ctx, epoch, refused), invalid.Err), "an engine whose hold is of rules that there are not is refused")
	after, err := h.Engine(f.ctx)
	f.must(err)
	f.rule(reflect.DeepEqual(after, before), "an engine that is refused changes nothing: got %+v, want %+v", after, before)
}

// testHoldTexts puts holds whose note is as long as it may be, and longer when it is cleaned.
func testHoldTexts(f *fixture) {
	hold := lifecycle.Hold{Until: epoch.Add(time.Hour), Note: strings.Repeat("\x01", 500), By: "a\nb"}
	s := f.besides(func(*lifecycle.Template, *lifecycle.Workspace) {})
	next := s.Template
	next.Hold = hold
	f.must(f.s.PutTemplate(f.ctx, epoch, next))
	kept := map[string]lifecycle.Hold{"template": f.load(s.Workspace.ID).Template.Hold}
	if h, ok := lifecycle.Ability[lifecycle.Holder](f.s); ok {
		f.must(h.PutEngine(f.ctx, epoch, lifecycle.Engine{Hold: hold}))
		e, err := h.Engine(f.ctx)
		f.must(err)
		kept["engine"] = e.Hold
	}
	for of, h := range kept {
		f.rule(h.Until == hold.Until && h.By == "a b" && utf8.ValidString(h.Note) && h.Note != "" && len(h.Note) <= 500,
			"the texts of a hold are cleaned, and cut then: of the %s got %+q by %q", of, h.Note, h.By)
	}
}

// testOutboxPrecision writes events of instants between two microseconds.
func testOutboxPrecision(f *fixture) {
	o := skipUnless[lifecycle.Outbox](f)
	c := wakeAt(f.create(1)[0], epoch)
	e := event(c, lifecycle.TopicAudit, "precise")
	e.At, e.DueAt, e.Until = e.At.Add(7), e.DueAt.Add(999), e.Until.Add(1)
	c.Events = []lifecycle.Event{e}
	f.commit(c)
	got, err := o.ClaimEvents(f.ctx, epoch, audit, time.Minute, 10)
	f.must(err)
	want := event(c, lifecycle.TopicAudit, "precise")
	f.rule(len(got) == 1 && got[0].At == want.At && got[0].DueAt == want.DueAt && got[0].Until == want.Until,
		"events have instants in UTC and whole microseconds: got %+v", got)
}

// testOutboxWithoutAge prunes events that say nothing of when they were written.
func testOutboxWithoutAge(f *fixture) {
	o := skipUnless[lifecycle.Outbox](f)
	id := f.create(1)[0].Workspace.ID
	c := wakeAt(f.load(id), epoch)
	e := event(c, lifecycle.TopicAudit, "old as time")
	e.At = time.Time{}
	c.Events = []lifecycle.Event{e}
	f.commit(c)
	old, err := o.PruneEvents(f.ctx, epoch.AddDate(-100, 0, 0), audit, 10)
	f.must(err)
	f.rule(len(old) == 1 && old[0].Message == e.Message, "an event without an instant is older than any: got %+v", old)
	left, err := o.ClaimEvents(f.ctx, epoch, audit, 1, 10)
	f.must(err)
	f.rule(len(left) == 0, "what is pruned is gone: got %+v", left)
}
