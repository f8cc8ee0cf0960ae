package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// testPruneTopics has more young events of one topic than a call may remove in front of an old one of another.
func testPruneTopics(f *fixture) {
	o := skipUnless[lifecycle.Outbox](f)
	all := f.create(2)
	young := wakeAt(all[0], epoch)
	for n := range 7 {
		e := event(young, lifecycle.TopicAudit, fmt.Sprint("young ", n))
		e.At = epoch.Add(time.Hour)
		young.Events = append(young.Events, e)
	}
	f.commit(young)
	old := wakeAt(all[1], epoch)
	old.Events = []lifecycle.Event{event(old, lifecycle.TopicNotice, "old")}
	f.commit(old)
	both := []lifecycle.Topic{lifecycle.TopicAudit, lifecycle.TopicNotice}
	for _, want := range [][]string{{"old"}, nil} {
		events, err := o.PruneEvents(f.ctx, epoch.Add(time.Minute), both, 3)
		f.must(err)
		f.rule(slices.Equal(messages(events), want), "what one topic keeps is in the way of no other's: got %q, want %q", messages(events), want)
	}
}
