package storetest

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// emit commits a change with events for the given topics.
func (f *fixture) emit(id uuid.UUID, messages ...string) {
	f.Helper()
	c := wakeAt(f.load(id), epoch)
	for _, m := range messages {
		c.Events = append(c.Events, event(c, lifecycle.TopicAudit, m))
	}
	f.commit(c)
}

func event(c lifecycle.Change, topic lifecycle.Topic, message string) lifecycle.Event {
	w := &c.Workspace
	return lifecycle.Event{
		Topic: topic, Kind: lifecycle.EventChanged, At: epoch, WorkspaceID: w.ID, OwnerID: w.OwnerID, TemplateID: w.TemplateID,
		Revision: c.Revision, Message: message, Transition: lifecycle.TransitionStop, Reason: lifecycle.ReasonAutostop,
		BuildNumber: 7, DueAt: epoch.Add(time.Second), Until: epoch.Add(time.Minute),
	}
}

var audit = []lifecycle.Topic{lifecycle.TopicAudit}

func messages(events []lifecycle.Event) []string {
	var list []string
	for _, e := range events {
		list = append(list, e.Message)
	}
	return list
}

func testOutboxOrder(f *fixture) {
	o := skipUnless[lifecycle.Outbox](f)
	all := f.create(2)
	a, b := all[0].Workspace.ID, all[1].Workspace.ID
	f.emit(a, "a1", "a2")
	f.emit(b, "b1")
	f.emit(a, "a3")
	stale := wakeAt(all[0], epoch)
	stale.Events = []lifecycle.Event{event(stale, lifecycle.TopicAudit, "never")}
	f.rule(f.commit(stale)[0] == lifecycle.Conflict, "an old revision is a conflict")
	notice := wakeAt(f.load(a), epoch)
	notice.Events = []lifecycle.Event{event(notice, lifecycle.TopicNotice, "n1")}
	f.commit(notice)

	claim := func(now time.Time, topics []lifecycle.Topic, limit int) []lifecycle.Event {
		events, err := o.ClaimEvents(f.ctx, now, topics, time.Minute, limit)
		f.must(err)
		return events
	}
	first := claim(epoch, audit, 10)
	f.rule(slices.Equal(messages(first), []string{"a1", "b1"}),
		"of each workspace and topic only the first event can be claimed, oldest first, and no event of a conflict exists: got %q", messages(first))
	want := event(wakeAt(all[0], epoch), lifecycle.TopicAudit, "a1")
	want.Seq, want.Attempt = first[0].Seq, 1
	f.rule(first[0].Seq > 0 && first[0] == want, "an event comes back as it was written: got %+v, want %+v", first[0], want)
	f.rule(len(claim(epoch, audit, 10)) == 0, "what is leased holds back what follows it")
	f.rule(slices.Equal(messages(claim(epoch, []lifecycle.Topic{lifecycle.TopicNotice}, 10)), []string{"n1"}), "topics do not hold each other back")
	f.must(o.SettleEvents(f.ctx, epoch, []lifecycle.Delivery{{Seq: first[0].Seq}, {Seq: first[1].Seq}}))
	second := claim(epoch, audit, 10)
	f.rule(slices.Equal(messages(second), []string{"a2"}), "what is delivered makes room for the next: got %q", messages(second))
	f.must(o.SettleEvents(f.ctx, epoch, []lifecycle.Delivery{{Seq: second[0].Seq}, {Seq: first[0].Seq}, {Seq: 1 << 40}}))
	third := claim(epoch, audit, 10)
	f.rule(slices.Equal(messages(third), []string{"a3"}) && third[0].Seq > second[0].Seq, "Seq increases within a workspace and topic: got %v", third)
}

func testOutboxLease(f *fixture) {
	o := skipUnless[lifecycle.Outbox](f)
	id := f.create(1)[0].Workspace.ID
	f.emit(id, "one", "two")
	claim := func(now time.Time) []lifecycle.Event {
		events, err := o.ClaimEvents(f.ctx, now, audit, time.Minute, 10)
		f.must(err)
		return events
	}
	claim(epoch)
	f.rule(len(claim(epoch.Add(time.Minute-time.Microsecond))) == 0, "a lease lasts as long as it was asked for")
	again := claim(epoch.Add(time.Minute))
	if len(again) != 1 {
		f.Fatalf("broken rule: an event whose lease ended is claimable again: got %q", messages(again))
	}
	f.rule(again[0].Message == "one" && again[0].Attempt == 2, "attempts are counted: got %q, attempt %d", again[0].Message, again[0].Attempt)
	retry := epoch.Add(2 * time.Minute)
	f.must(o.SettleEvents(f.ctx, epoch, []lifecycle.Delivery{{Seq: again[0].Seq, RetryAt: retry}}))
	f.rule(len(claim(retry.Add(-time.Microsecond))) == 0, "an event is not claimable before its retry, and holds back what follows")
	f.rule(slices.Equal(messages(claim(retry)), []string{"one"}), "an event is claimable at its retry")
	late := retry.Add(time.Hour) // the lease is over; somebody looks for events of others, which notes that
	_, err := o.ClaimEvents(f.ctx, late, []lifecycle.Topic{lifecycle.TopicNotice}, time.Minute, 10)
	f.must(err)
	f.must(o.SettleEvents(f.ctx, late, []lifecycle.Delivery{{Seq: again[0].Seq, RetryAt: late.Add(time.Minute)}}))
	f.rule(len(claim(late)) == 0, "a claim that has outlived its lease is ended by the instant of its retry")
	f.must(o.SettleEvents(f.ctx, late, []lifecycle.Delivery{{Seq: again[0].Seq}}))
	f.rule(slices.Equal(messages(claim(late)), []string{"two"}), "what is delivered after its lease is delivered")
}

// testOutboxAge has old and young events of two topics, one of them claimed, and gives up the old ones of one topic.
func testOutboxAge(f *fixture) {
	o := skipUnless[lifecycle.Outbox](f)
	all := f.create(2)
	a, b := all[0].Workspace.ID, all[1].Workspace.ID
	f.emit(a, "a1", "a2")
	f.emit(b, "b1")
	late := wakeAt(f.load(b), epoch)
	late.Events = []lifecycle.Event{event(late, lifecycle.TopicNotice, "n1"), event(late, lifecycle.TopicAudit, "b2")}
	late.Events[1].At = epoch.Add(time.Hour)
	f.commit(late)
	claimed, err := o.ClaimEvents(f.ctx, epoch, audit, time.Hour, 1)
	f.must(err)
	f.rule(slices.Equal(messages(claimed), []string{"a1"}), "the first event is claimed: got %q", messages(claimed))

	drop := func(before time.Time, limit int) []lifecycle.Event {
		f.Helper()
		events, err := o.PruneEvents(f.ctx, before, audit, limit)
		f.must(err)
		return events
	}
	f.rule(len(drop(epoch, 10)) == 0, "an event of the very instant is not old")
	dropped := drop(epoch.Add(time.Minute), 1)
	f.rule(len(dropped) == 1 && dropped[0].Message != "a2", "DropEvents removes at most its limit, of a workspace the first: got %q", messages(dropped))
	dropped = append(dropped, drop(epoch.Add(time.Minute), 10)...)
	slices.SortFunc(dropped, func(a, b lifecycle.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	f.rule(slices.Equal(messages(dropped), []string{"a1", "a2", "b1"}), "DropEvents removes what is old, claimed or not, and nothing else: got %q", messages(dropped))
	f.rule(dropped[0].Attempt == 1 && dropped[0].WorkspaceID == a && dropped[0].At.Equal(epoch), "a dropped event is returned as it was: got %+v", dropped[0])
	f.must(o.SettleEvents(f.ctx, epoch, []lifecycle.Delivery{{Seq: dropped[0].Seq, RetryAt: epoch}})) // whoever had it ignores that
	left, err := o.ClaimEvents(f.ctx, epoch.Add(time.Hour), []lifecycle.Topic{lifecycle.TopicAudit, lifecycle.TopicNotice}, time.Hour, 10)
	f.must(err)
	f.rule(slices.Equal(messages(left), []string{"n1", "b2"}), "other topics and younger events stay, and are free: got %q", messages(left))
}

// testOutboxRace has several relays deliver everything at once.
func testOutboxRace(f *fixture) {
	o := skipUnless[lifecycle.Outbox](f)
	all := f.create(10)
	for _, s := range all {
		f.emit(s.Workspace.ID, "1", "2", "3")
	}
	var mu sync.Mutex
	got := map[uuid.UUID]string{}
	var wg sync.WaitGroup
	for range f.o.Goroutines {
		wg.Go(func() {
			for {
				events, err := o.ClaimEvents(f.ctx, epoch, audit, time.Hour, 3)
				if err != nil {
					f.Errorf("claim: %v", err)
					return
				}
				if len(events) == 0 {
					return
				}
				var done []lifecycle.Delivery
				mu.Lock()
				for _, e := range events {
					got[e.WorkspaceID] += e.Message
					done = append(done, lifecycle.Delivery{Seq: e.Seq})
				}
				mu.Unlock()
				if err := o.SettleEvents(f.ctx, epoch, done); err != nil {
					f.Errorf("settle: %v", err)
				}
			}
		})
	}
	wg.Wait()
	// Whoever found nothing may have left while another held the last events; those are delivered by now all the same.
	for _, s := range all {
		f.rule(got[s.Workspace.ID] == "123", "relays at once deliver each event once and in order: got %q", got[s.Workspace.ID])
	}
}
