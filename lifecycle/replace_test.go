package lifecycle_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// A new template has no change of its version and none of its policy behind it: it has the rules 0, and no terms.
func TestReplaceTemplateThatIsNew(t *testing.T) {
	next := lifecycle.Template{ID: id(4), Name: "go", ActiveVersionID: id(0x40), Policy: lifecycle.Policy{DefaultTTL: time.Hour}, Terms: lifecycle.PolicyTerms{ResetDormant: true}}
	made := must1(lifecycle.ReplaceTemplate(lifecycle.Template{}, next, monday))
	if !made.VersionSince.IsZero() || made.Rules != 0 || made.Previous != nil || made.Terms != (lifecycle.PolicyTerms{}) || made.Revision != 1 {
		t.Errorf("a new template: %+v", made)
	}
	put := made
	put.ActiveVersionID = id(0x41)
	put = must1(lifecycle.ReplaceTemplate(made, put, monday.Add(day)))
	if !put.VersionSince.Equal(monday.Add(day)) || put.Rules != 0 || put.Revision != 2 {
		t.Errorf("after another version: %+v", put)
	}
	next.Policy.DefaultTTL = -1
	if _, err := lifecycle.ReplaceTemplate(lifecycle.Template{}, next, monday); !errors.Is(err, invalid.Err) {
		t.Errorf("a new policy that is none: %v", err)
	}
}

// Terms that cannot be are refused with the policy and without; those of the change before are not meant for the next one.
func TestReplaceTemplateTerms(t *testing.T) {
	old := lifecycle.Template{ID: id(4), Name: "go", Revision: 1, Rules: 3, Terms: lifecycle.PolicyTerms{StopGrace: time.Hour}}
	for name, change := range map[string]func(*lifecycle.Template){
		"alone":         func(*lifecycle.Template) {},
		"with a policy": func(n *lifecycle.Template) { n.Policy.DefaultTTL = time.Hour },
	} {
		bad := old
		bad.Terms.StopGrace = -1
		change(&bad)
		if _, err := lifecycle.ReplaceTemplate(old, bad, monday); !errors.Is(err, invalid.Err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	next := old
	next.Policy.DefaultTTL = time.Hour
	put := must1(lifecycle.ReplaceTemplate(old, next, monday))
	if put.Terms != (lifecycle.PolicyTerms{}) || put.Previous == nil || put.Previous.Terms != old.Terms || put.Previous.Rules != 3 || put.Rules != 4 {
		t.Errorf("the terms of the change before: %+v", put)
	}
}

// An owner who is new has nothing behind it, one who becomes active has, and one who is as before has not.
func TestReplaceOwner(t *testing.T) {
	old := lifecycle.Owner{ID: id(3), Name: "ann", Rules: 2, AutostartAfter: monday.Add(-day)}
	for name, c := range map[string]struct {
		was, is lifecycle.OwnerStatus
		want    time.Time
	}{
		"stays active":         {lifecycle.OwnerActive, lifecycle.OwnerActive, old.AutostartAfter},
		"is suspended":         {lifecycle.OwnerActive, lifecycle.OwnerSuspended, old.AutostartAfter},
		"stays suspended":      {lifecycle.OwnerSuspended, lifecycle.OwnerSuspended, old.AutostartAfter},
		"is active again":      {lifecycle.OwnerSuspended, lifecycle.OwnerActive, monday},
		"of dormant suspended": {lifecycle.OwnerDormant, lifecycle.OwnerSuspended, monday},
	} {
		was, is := old, old
		was.Status, is.Status = c.was, c.is
		is.Rules, is.AutostartAfter = 99, monday.Add(day) // the store's
		if got := must1(lifecycle.ReplaceOwner(was, is, monday)); !got.AutostartAfter.Equal(c.want) || got.Rules != 2 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	next := lifecycle.Owner{ID: id(3), Name: "ann", QuietHours: weekly("0 2 * * *"), Rules: 99, AutostartAfter: monday}
	if got := must1(lifecycle.ReplaceOwner(lifecycle.Owner{}, next, monday)); got.Rules != 0 || !got.AutostartAfter.IsZero() {
		t.Errorf("a new owner: %+v", got)
	}
	if got := must1(lifecycle.ReplaceOwner(old, next, monday)); got.Rules != 3 {
		t.Errorf("other quiet hours: %+v", got)
	}
	next.Name = "\x00"
	if _, err := lifecycle.ReplaceOwner(old, next, monday); !errors.Is(err, invalid.Err) {
		t.Errorf("a name that is none: %v", err)
	}
}

func TestReplaceEngineRefuses(t *testing.T) {
	for field, next := range map[string]lifecycle.Engine{
		"Engine.Hold.Rules":             {Hold: lifecycle.Hold{Rules: 99}},
		"Engine.DeletionsReleasedUntil": {DeletionsReleasedUntil: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		var refused *invalid.Error
		if got, err := lifecycle.ReplaceEngine(lifecycle.Engine{}, next, monday); !errors.As(err, &refused) || refused.Field != field || got != (lifecycle.Engine{}) {
			t.Errorf("%s: %+v, %v", field, got, err)
		}
	}
	if got := must1(lifecycle.ReplaceEngine(lifecycle.Engine{SettleUntil: monday}, lifecycle.Engine{Interval: time.Minute}, monday)); got != (lifecycle.Engine{SettleUntil: monday}) {
		t.Errorf("%+v", got)
	}
}
