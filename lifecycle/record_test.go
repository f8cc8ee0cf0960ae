package lifecycle_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// The events of what people put into a store say what differs, and nothing else.
func TestWhatChangedEventsSay(t *testing.T) {
	w := lifecycle.Workspace{ID: id(1), OrganizationID: id(2), OwnerID: id(3), TemplateID: id(4), Name: "api"}
	if e := w.CreatedEvent(monday); e.Kind != lifecycle.EventCreated || e.Topic != lifecycle.TopicAudit || e.Message != "api" || e.WorkspaceID != id(1) || e.BuildNumber != 0 || !e.At.Equal(monday) {
		t.Errorf("%+v", e)
	}

	old := lifecycle.Template{ID: id(4), OrganizationID: id(2), Name: "go", Revision: 6, ActiveVersionID: id(0x40)}
	held := lifecycle.Hold{Until: monday.Add(day), By: "ann", Note: "audit"}
	const until = `hold until 2026-03-03T09:00:00Z: all, by ann: audit`
	for want, change := range map[string]func(*lifecycle.Template){
		"":                              func(*lifecycle.Template) {},
		"name: rust":                    func(n *lifecycle.Template) { n.Name = "rust" },
		"version: " + id(0x41).String(): func(n *lifecycle.Template) { n.ActiveVersionID = id(0x41) },
		"policy":                        func(n *lifecycle.Template) { n.Policy.DefaultTTL = day },
		until:                           func(n *lifecycle.Template) { n.Hold = held },
		"name: rust; policy":            func(n *lifecycle.Template) { n.Name, n.Policy.DefaultTTL = "rust", day },
		"policy; " + until:              func(n *lifecycle.Template) { n.Policy.DefaultTTL, n.Hold = day, held },
	} {
		next := old
		next.Revision++
		change(&next)
		e := next.ChangedEvent(&old, monday)
		if e.Message != want || !e.Until.Equal(next.Hold.Until) || e.Revision != 7 || e.TemplateID != id(4) || e.OrganizationID != id(2) || e.Kind != lifecycle.EventTemplateChanged {
			t.Errorf("says %q, want %q: %+v", e.Message, want, e)
		}
	}
	kept, ended := old, old
	kept.Hold = held
	if e := ended.ChangedEvent(&kept, monday); e.Message != "hold ended" || !e.Until.IsZero() {
		t.Errorf("of a hold that ends: %q", e.Message)
	}
	if e := kept.ChangedEvent(new(lifecycle.Template), monday); e.Message != "new: go" || e.TemplateID != id(4) {
		t.Errorf("of a new template: %+v", e)
	}

	daily := new(schedule.Interner).Daily("0 2 * * *")
	before := lifecycle.Owner{ID: id(3), Name: "ann"}
	for want, change := range map[string]func(*lifecycle.Owner){
		"":                         func(*lifecycle.Owner) {},
		"name: bob":                func(o *lifecycle.Owner) { o.Name = "bob" },
		"status: suspended":        func(o *lifecycle.Owner) { o.Status = lifecycle.OwnerSuspended },
		`quiet hours: "0 2 * * *"`: func(o *lifecycle.Owner) { o.QuietHours = daily },
		"name: bob; status: dormant": func(o *lifecycle.Owner) {
			o.Name, o.Status = "bob", lifecycle.OwnerDormant
		},
	} {
		next := before
		change(&next)
		if e := next.ChangedEvent(&before, monday); e.Message != want || e.OwnerID != id(3) || e.Subject() != id(3) || e.Kind != lifecycle.EventOwnerChanged {
			t.Errorf("says %q, want %q: %+v", e.Message, want, e)
		}
	}
	if e := before.ChangedEvent(new(lifecycle.Owner), monday); e.Message != "new: ann" || e.OwnerID != id(3) {
		t.Errorf("of a new owner: %+v", e)
	}

	was := lifecycle.Engine{}
	for want, next := range map[string]lifecycle.Engine{
		"":    {},
		until: {Hold: held},
		"brake on deletions released until 2026-03-03T09:00:00Z":           {DeletionsReleasedUntil: monday.Add(day)},
		until + "; brake on deletions released until 2026-03-03T09:00:00Z": {Hold: held, DeletionsReleasedUntil: monday.Add(day)},
	} {
		if e := next.ChangedEvent(&was, monday); e.Message != want || !e.Until.Equal(next.Hold.Until) || e.Subject() != uuid.Nil || e.Kind != lifecycle.EventEngineChanged {
			t.Errorf("says %q, want %q: %+v", e.Message, want, e)
		}
	}
	long := old
	long.Name = strings.Repeat("é", 5000)
	if e := long.ChangedEvent(&old, monday); len(e.Message) > 2000 || !strings.HasPrefix(e.Message, "name: é") {
		t.Errorf("a message of %d bytes", len(e.Message))
	}
}
