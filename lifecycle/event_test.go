package lifecycle_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

func topics(list ...lifecycle.Topic) (set lifecycle.Topics) {
	for _, topic := range list {
		set |= 1 << topic
	}
	return set
}

// A set of topics has, lists and keeps exactly its own, whichever they are.
func TestTopics(t *testing.T) {
	all := []lifecycle.Topic{lifecycle.TopicAudit, lifecycle.TopicNotice, lifecycle.TopicPost}
	if topics(all...) != lifecycle.AllTopics {
		t.Error("AllTopics are not all")
	}
	var events []lifecycle.Event
	for i := range 9 {
		events = append(events, lifecycle.Event{Seq: int64(i), Topic: all[i*i%3]}, lifecycle.Event{Seq: int64(100 + i), Topic: all[(2*i+1)%3]})
	}
	for set := range lifecycle.AllTopics + 1 {
		var in []lifecycle.Topic
		var want []int64
		for _, topic := range all {
			if set&topics(topic) != 0 {
				in = append(in, topic)
			}
			if set.Has(topic) != slices.Contains(in, topic) {
				t.Errorf("set %b has %v: %v", set, topic, set.Has(topic))
			}
		}
		if got := set.List(); !slices.Equal(got, in) {
			t.Errorf("set %b lists %v, want %v", set, got, in)
		}
		for _, e := range events {
			if slices.Contains(in, e.Topic) {
				want = append(want, e.Seq)
			}
		}
		before := slices.Clone(events)
		var got []int64
		for _, e := range set.Filter(events) {
			got = append(got, e.Seq)
		}
		if !slices.Equal(got, want) || !slices.Equal(events, before) {
			t.Errorf("set %b keeps %v, want %v", set, got, want)
		}
	}
	if kept := lifecycle.AllTopics.Filter(events); &kept[0] != &events[0] {
		t.Error("events that are all wanted are copied")
	}
}

// Two deliveries of one event have one key, and two events have two, whether or not what they are of has revisions.
func TestEventKeys(t *testing.T) {
	of := lifecycle.Event{WorkspaceID: id(1), Revision: 3, Seq: 9, Topic: lifecycle.TopicNotice, Kind: lifecycle.EventReminder}
	again := of
	again.Seq, again.Attempt = 10, 2
	if of.Key() != again.Key() {
		t.Errorf("keys %s and %s of one event", of.Key(), again.Key())
	}
	none := lifecycle.Event{TemplateID: id(2), Revision: 3, Seq: 9, Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged}
	other := none
	other.Seq = 10
	keys := map[string]bool{of.Key(): true, none.Key(): true, other.Key(): true}
	next, kind, topic := of, of, of
	next.Revision, kind.Kind, topic.Topic = 4, lifecycle.EventDormant, lifecycle.TopicAudit
	for _, e := range []lifecycle.Event{next, kind, topic} {
		keys[e.Key()] = true
	}
	if len(keys) != 6 {
		t.Errorf("six events have the keys %v", keys)
	}
}

// A job to be posted is told with the build that it carries out.
func TestPost(t *testing.T) {
	s := stopped()
	c, err := lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil)(s, monday.Add(time.Hour))
	must(err)
	n := len(c.Events)
	job := &lifecycle.Job{}
	c.Post(job)
	if len(c.Events) != n+1 {
		t.Fatalf("%d events", len(c.Events))
	}
	e := c.Events[n]
	if e.Job != job || e.Topic != lifecycle.TopicPost || e.Kind != lifecycle.EventBuildQueued || e.BuildNumber != c.Build.Number ||
		e.Transition != lifecycle.TransitionStart || e.WorkspaceID != s.Workspace.ID || e.Revision != c.Revision || !e.At.Equal(c.Build.CreatedAt) {
		t.Errorf("posted %+v", e)
	}
}
