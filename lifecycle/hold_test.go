package lifecycle_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

func TestHoldRulesAsText(t *testing.T) {
	const some = lifecycle.HoldStops | lifecycle.HoldDeletion
	for text, want := range map[string]lifecycle.HoldRules{"": 0, "all": 0, "stops,deletion": some, " deletion, stops ": some} {
		var got lifecycle.HoldRules
		must(got.UnmarshalText([]byte(text)))
		if got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
	for set, want := range map[lifecycle.HoldRules]string{0: "all", lifecycle.HoldAll: "all", some: "stops,deletion"} {
		if text := string(must1(set.MarshalText())); text != want {
			t.Errorf("%d is %q, want %q", set, text, want)
		}
	}
	if _, err := (lifecycle.HoldAll + 1).MarshalText(); err == nil {
		t.Error("a kind that nobody knows has a text")
	}
	if !some.Includes(lifecycle.HoldStops) || some.Includes(lifecycle.HoldStops|lifecycle.HoldStarts) || !lifecycle.HoldRules(0).Includes(lifecycle.HoldAll) {
		t.Error("a set includes what it does not, or not what it does")
	}
}

func TestHoldNotesAreBounded(t *testing.T) {
	most := strings.Repeat("n", 500)
	must(lifecycle.Hold{Note: most, By: most}.Validate())
	for _, h := range []lifecycle.Hold{{Note: most + "n"}, {By: most + "n"}} {
		if h.Validate() == nil {
			t.Errorf("a note of %d and an author of %d bytes pass", len(h.Note), len(h.By))
		}
	}
}

// A hold is kept as stores keep it, so that setting it again changes nothing.
func TestAHoldIsStoredInOneForm(t *testing.T) {
	v := lifecycle.SetHold(lifecycle.Hold{Until: monday.Add(day + 1), Rules: lifecycle.HoldAll})
	c, err := v(stopped(), monday)
	must(err)
	if told(c.Events) != "audit/workspace.changed " || c.Events[0].Message != "hold: all" {
		t.Errorf("told %+v", c.Events)
	}
	s := apply(stopped(), c)
	if h := s.Workspace.Hold; h != (lifecycle.Hold{Until: monday.Add(day)}) {
		t.Errorf("stored as %+v", h)
	}
	refuse(t, "again", s, monday, v, lifecycle.ErrUnchanged)
	refuse(t, "over now", stopped(), monday, lifecycle.SetHold(lifecycle.Hold{Until: monday}), lifecycle.ErrUnchanged)
}

// What a hold leaves when another takes its place is what it held and the other does not.
func TestWhatAHoldLeaves(t *testing.T) {
	until, now := monday.Add(30*day), monday.Add(day)
	held := func(rules lifecycle.HoldRules) lifecycle.Hold { return lifecycle.Hold{Until: until, Rules: rules} }
	const all = lifecycle.HoldAll
	for name, c := range map[string]struct {
		old, next lifecycle.Hold
		starts    time.Time
		floors    lifecycle.Floors
	}{
		"none before":       {lifecycle.Hold{}, held(lifecycle.HoldStarts), time.Time{}, lifecycle.Floors{}},
		"all end":           {held(all), lifecycle.Hold{}, now.Add(-us), lifecycle.Floors{Dormancy: now.Add(2 * time.Hour), Delete: now.Add(day)}},
		"starts end":        {held(lifecycle.HoldStarts), lifecycle.Hold{}, now.Add(-us), lifecycle.Floors{}},
		"stops end":         {held(lifecycle.HoldStops), lifecycle.Hold{}, time.Time{}, lifecycle.Floors{Dormancy: now.Add(2 * time.Hour)}},
		"deletion ends":     {held(lifecycle.HoldDeletion), lifecycle.Hold{}, time.Time{}, lifecycle.Floors{Delete: now.Add(day)}},
		"a part, as long":   {held(all), held(all &^ lifecycle.HoldDeletion), time.Time{}, lifecycle.Floors{Delete: now.Add(day)}},
		"a part, for less":  {held(lifecycle.HoldDeletion), lifecycle.Hold{Until: until.Add(-us)}, time.Time{}, lifecycle.Floors{Delete: now.Add(day)}},
		"the same, by more": {held(all), lifecycle.Hold{Until: until, Note: "more"}, time.Time{}, lifecycle.Floors{}},
	} {
		s := stopped(workspace(func(w *lifecycle.Workspace) { w.Hold = c.old }))
		w := do(t, s, now, lifecycle.SetHold(c.next)).Workspace
		if !w.AutostartAfter.Equal(c.starts) || w.Floors != c.floors {
			t.Errorf("%s: starts count after %v, want %v; floors %+v, want %+v", name, w.AutostartAfter, c.starts, w.Floors, c.floors)
		}
	}
	// A start at the very end of a hold is none that the hold has held.
	s := do(t, stopped(autostart("0 9 * * *"), heldUntil(until)), now, lifecycle.SetHold(lifecycle.Hold{}))
	expect(t, s, now, "autostart: start")
	// Dormancy that is due with the end of the grace is not spread over the herd once more.
	noon := at("2026-03-02 12:00")
	ruleCase{s: stopped(tilDormant(5*time.Hour-us), heldUntil(noon), jitterOf(time.Hour)), want: "dormancy: dormant", at: noon.Add(2 * time.Hour)}.check(t)
}
