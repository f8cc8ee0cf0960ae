package storetest

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// recordable is what a store needs that keeps what people put into it.
type recordable interface {
	lifecycle.Registry
	lifecycle.Holder
	lifecycle.Outbox
	lifecycle.Recorder
}

// testRecorded writes of each kind with events, and what is refused.
func testRecorded(f *fixture) {
	s := skipUnless[recordable](f)
	said := func(message string, of lifecycle.Event) lifecycle.Writer {
		of.Topic, of.Kind, of.At, of.Message, of.Actor, of.Note = lifecycle.TopicAudit, "test", epoch, message, "ann", "why"
		return s.Recording(of)
	}
	t, o, w := f.template, f.owner, f.workspace()
	t.ID, t.Revision, o.ID = uuid.New(), 0, uuid.New()
	w.TemplateID, w.OwnerID = t.ID, o.ID
	ofTemplate := lifecycle.Event{TemplateID: t.ID, OrganizationID: t.OrganizationID}
	f.must(said("template", ofTemplate).PutTemplate(f.ctx, epoch, t))
	f.must(said("owner", lifecycle.Event{OwnerID: o.ID}).PutOwner(f.ctx, epoch, o))
	f.must(said("engine", lifecycle.Event{}).PutEngine(f.ctx, epoch, lifecycle.Engine{Hold: lifecycle.Hold{Until: epoch.Add(time.Hour)}}))
	f.must(said("created", lifecycle.Event{WorkspaceID: w.ID}).CreateWorkspaces(f.ctx, epoch, w))
	f.must(s.PutOwner(f.ctx, epoch, o)) // without events, as ever

	bad := said("never", ofTemplate)
	f.rule(bad.PutTemplate(f.ctx, epoch, t) != nil, "a stale template is refused")
	f.rule(bad.CreateWorkspaces(f.ctx, epoch, w) != nil, "a workspace that exists is refused")
	f.rule(bad.PutOwner(f.ctx, epoch, lifecycle.Owner{ID: o.ID, Name: "\n"}) != nil, "a name that is none is refused")
	f.rule(bad.PutEngine(f.ctx, epoch, lifecycle.Engine{Hold: lifecycle.Hold{Rules: 0xff}}) != nil, "a hold that is none is refused")

	t.Revision, t.Name = 1, "other"
	f.must(said("again", ofTemplate).PutTemplate(f.ctx, epoch, t))
	f.must(s.PutEngine(f.ctx, epoch, lifecycle.Engine{}))

	first, err := s.ClaimEvents(f.ctx, epoch, audit, time.Minute, 10)
	f.must(err)
	f.rule(slices.Equal(messages(first), []string{"template", "owner", "engine", "created"}),
		"a write leaves its events, one that is refused none, and those of one subject wait for each other: got %q", messages(first))
	want := ofTemplate
	want.Seq, want.Attempt, want.Topic, want.Kind, want.At = first[0].Seq, 1, lifecycle.TopicAudit, "test", epoch
	want.Message, want.Actor, want.Note = "template", "ann", "why"
	f.rule(first[0] == want, "an event comes back as it was written: got %+v, want %+v", first[0], want)
	var settled []lifecycle.Delivery
	for _, e := range first {
		settled = append(settled, lifecycle.Delivery{Seq: e.Seq})
	}
	f.must(s.SettleEvents(f.ctx, epoch, settled))
	second, err := s.ClaimEvents(f.ctx, epoch, audit, time.Minute, 10)
	f.must(err)
	if !slices.Equal(messages(second), []string{"again"}) {
		f.Fatalf("broken rule: what is delivered makes room for the next of its subject: got %q", messages(second))
	}
	f.rule(second[0].Key() != first[0].Key(), "two events of one template have different keys: both %s", second[0].Key())
}

// testTxRecorded writes with events in a transaction of the host.
func testTxRecorded(f *txFixture) {
	told := func(end func(Transaction) error) int {
		tx, o := f.begin(), f.owner
		o.ID = uuid.New()
		e := lifecycle.Event{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventOwnerChanged, At: epoch, OwnerID: o.ID}
		f.must(tx.Store.Recording(e).PutOwner(f.ctx, epoch, o))
		f.must(end(tx))
		events, err := f.s.ClaimEvents(f.ctx, epoch, audit, time.Minute, 10)
		f.must(err)
		return len(events)
	}
	f.rule(told(func(tx Transaction) error { return tx.Rollback() }) == 0, "a rollback leaves no event")
	f.rule(told(func(tx Transaction) error { return tx.Commit() }) == 1, "the commit of the host is that of the event")
}
