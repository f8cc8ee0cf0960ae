package dormouse_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Who asked for a build, why it failed and what it made is known for longer than the queue knows its job.
func TestWhatABuildLeaves(t *testing.T) {
	builds := 0
	build := func(_ context.Context, b *dormouse.Build) error {
		if builds++; builds == 1 {
			return errors.New("no room: " + strings.Repeat("x", 5000))
		}
		b.SetResult("10.0.0.1:22")
		return nil
	}
	short := func(c *acquirer.Config) { c.Retention = time.Hour }
	bubble(t, func(c *dormouse.Config) { c.Build, c.TuneAcquirer = build, short }, func(f *fixture) {
		w := f.create("api")
		for range 2 {
			_, err := f.Start(f.t.Context(), w.ID, dormouse.By("ann"))
			f.must(err)
			f.wait(time.Minute)
		}
		if got := f.want(w.ID, lifecycle.StatusRunning, 2); got.Result != "10.0.0.1:22" {
			t.Errorf("the workspace says %q of what its build made", got.Result)
		}
		f.wait(12 * time.Hour) // the queue keeps jobs for an hour
		records, err := f.Builds(f.t.Context(), w.ID, 0, 0)
		f.must(err)
		first, last := records[len(records)-1], records[len(records)-2]
		if first.Initiator != "ann" || !strings.HasPrefix(first.Error, "no room: ") || len(first.Error) > 1100 || first.Attempt != 0 {
			t.Errorf("the build that failed: %+v", first)
		}
		if last.Initiator != "ann" || last.Result != "10.0.0.1:22" || last.Error != "" {
			t.Errorf("the build that did not: %+v", last)
		}
		if stop := records[0]; stop.Initiator != "" || stop.Reason != lifecycle.ReasonAutostop {
			t.Errorf("nobody asked for the stop: %+v", stop)
		}
	})
}
