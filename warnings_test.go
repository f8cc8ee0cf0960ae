package dormouse_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse"
)

// Whoever changes a setting is told what will not do what it seems to, once.
func TestVerbsWarn(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		w := f.create("api") // its template's TTL is 8 hours
		early, err := f.SetSchedule(f.t.Context(), w.ID, dormouse.Schedule{Hours: "Europe/Berlin Mon-Fri 09:00-18:00"})
		f.must(err)
		if len(early.Warnings) != 1 || early.Warnings[0].Code != "stops_early" || early.Warnings[0].Setting != "Workspace.TTL" {
			t.Errorf("warnings:\n%s\nwant one: the TTL ends before the hours do", early.Warnings.Text())
		}
		cured, err := f.SetTTL(f.t.Context(), w.ID, 9*time.Hour)
		f.must(err)
		if len(cured.Warnings) > 0 {
			t.Errorf("after the cure:\n%s", cured.Warnings.Text())
		}
		started, err := f.Start(f.t.Context(), w.ID)
		f.must(err)
		read, err := f.Get(f.t.Context(), w.ID)
		f.must(err)
		if started.Warnings != nil || read.Warnings != nil {
			t.Error("who changes no setting is not warned")
		}
	})
}
