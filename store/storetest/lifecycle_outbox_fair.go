package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// testOutboxFair has more events than a claim takes, of many workspaces: some that were tried before, and others that never were.
func testOutboxFair(f *fixture) {
	o := skipUnless[lifecycle.Outbox](f)
	all := f.create(18)
	claim := func(now time.Time, limit int) []lifecycle.Event {
		f.Helper()
		events, err := o.ClaimEvents(f.ctx, now, audit, time.Minute, limit)
		f.must(err)
		f.rule(slices.IsSortedFunc(events, func(a, b lifecycle.Event) int { return int(a.Seq - b.Seq) }), "events are returned by Seq: got %q", messages(events))
		return events
	}
	emit := func(from, to int) {
		for n := from; n < to; n++ {
			f.emit(all[n].Workspace.ID, fmt.Sprintf("%02d", n))
		}
	}
	emit(0, 6)
	var failed []lifecycle.Delivery
	for _, e := range claim(epoch, 6) { // the latest may be tried again first
		failed = append(failed, lifecycle.Delivery{Seq: e.Seq, RetryAt: epoch.Add(time.Minute - time.Duration(len(failed))*time.Second)})
	}
	f.must(o.SettleEvents(f.ctx, epoch, failed))
	emit(6, 18)
	later := epoch.Add(2 * time.Minute)
	first := claim(later, 6)
	f.rule(slices.Equal(messages(first), []string{"04", "05", "06", "07", "16", "17"}),
		"what was tried before and what never was, the oldest and the latest of it, share a claim, and what may be tried again first goes first: got %q", messages(first))
	second := claim(later, 6)
	f.rule(slices.Equal(messages(second), []string{"02", "03", "08", "09", "14", "15"}), "and so on: got %q", messages(second))
	rest := claim(later, 100)
	f.rule(slices.Equal(messages(rest), []string{"00", "01", "10", "11", "12", "13"}), "what one kind leaves the others get: got %q", messages(rest))
	f.rule(len(claim(later, 100)) == 0, "and nothing is claimed twice")
	tried := claim(later.Add(time.Minute), 5)
	f.rule(len(tried) == 5, "a claim takes as many as it may where all were tried before: got %q", messages(tried))
	for _, limit := range []int{0, -1} {
		f.rule(len(claim(later.Add(time.Hour), limit)) == 0, "a claim takes at most its limit: %d", limit)
	}
}

// testOutboxUntried gives claims back of which nothing came.
func testOutboxUntried(f *fixture) {
	o := skipUnless[lifecycle.Outbox](f)
	var ids []uuid.UUID
	for _, s := range f.create(4) {
		ids = append(ids, s.Workspace.ID)
	}
	claim := func(now time.Time, limit int) []lifecycle.Event {
		f.Helper()
		events, err := o.ClaimEvents(f.ctx, now, audit, time.Hour, limit)
		f.must(err)
		return events
	}
	settle := func(events []lifecycle.Event, retry time.Time, untried bool) {
		f.Helper()
		var all []lifecycle.Delivery
		for _, e := range events {
			all = append(all, lifecycle.Delivery{Seq: e.Seq, RetryAt: retry, Untried: untried})
		}
		f.must(o.SettleEvents(f.ctx, epoch, all))
	}
	f.emit(ids[0], "a")
	once := claim(epoch, 9)
	settle(once, epoch, false)
	f.emit(ids[1], "b")
	f.emit(ids[2], "c")
	f.emit(ids[3], "d")
	back := claim(epoch, 9)
	f.rule(len(back) == 4, "all can be claimed: got %q", messages(back))
	settle(back, epoch, true)
	again := claim(epoch, 2) // one of those never tried, and the one that was
	f.rule(slices.Equal(messages(again), []string{"a", "b"}), "what is given back is as it was, tried or not: got %q", messages(again))
	f.rule(len(again) == 2 && again[0].Attempt == 2 && again[1].Attempt == 1, "and the attempt does not count: got %+v", again)
	settle(back[:1], epoch, true) // its claim is another's by now: it must not count below what it has
	settle(back[:1], epoch, true)
	settle(back[:1], epoch, true)
	last := claim(epoch, 9)
	f.rule(slices.Equal(messages(last), []string{"a", "c", "d"}) && last[0].Attempt == 1, "attempts are never fewer than none: got %+v", last)
}
