package webui_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/webui"
)

// BenchmarkPage is the operator's page over fleets that are copies of the scripted one, read anew for every page, and with the
// forecast of the minute before.
func BenchmarkPage(b *testing.B) {
	for _, n := range []int{200, 2_000, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			clock := quartz.NewMock(b).WithLogger(quartz.NoOpLogger)
			clock.Set(morning)
			h := newPages(b, &static{list: copies(all(b, scripted()), n)}, webui.Config{Refresh: time.Nanosecond, Clock: clock})
			page(b, h, "/")
			b.ReportAllocs()
			for b.Loop() {
				clock.Advance(time.Microsecond)
				page(b, h, "/")
			}
		})
	}
}

func copies(of []lifecycle.Snapshot, n int) []lifecycle.Snapshot {
	list := make([]lifecycle.Snapshot, n)
	for i := range list {
		list[i] = of[i%len(of)]
		list[i].Workspace.ID = uuid.New()
	}
	return list
}
