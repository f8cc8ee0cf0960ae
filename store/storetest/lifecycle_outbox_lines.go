package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// testOutboxLines has two workspaces with many events behind one that is leased, before and behind those of others.
func testOutboxLines(f *fixture) {
	o := skipUnless[lifecycle.Outbox](f)
	all := f.create(14)
	long := slices.Repeat([]string{"behind"}, 600)
	claim := func(limit int) []string {
		f.Helper()
		events, err := o.ClaimEvents(f.ctx, epoch, audit, time.Minute, limit)
		f.must(err)
		return messages(events)
	}
	f.emit(all[12].Workspace.ID, "first")
	f.emit(all[13].Workspace.ID, "first")
	f.rule(len(claim(2)) == 2, "the first events of both can be claimed")
	f.emit(all[12].Workspace.ID, long...)
	f.rule(len(claim(6)) == 0, "and nothing behind them")
	for n := range 12 {
		f.emit(all[n].Workspace.ID, fmt.Sprintf("%02d", n))
	}
	f.emit(all[13].Workspace.ID, long...)
	first := claim(6)
	f.rule(slices.Equal(first, []string{"00", "01", "02", "09", "10", "11"}), "the oldest and the latest of those that can be claimed share a claim: got %q", first)
	rest := claim(100)
	f.rule(slices.Equal(rest, []string{"03", "04", "05", "06", "07", "08"}), "and then the others: got %q", rest)
}
