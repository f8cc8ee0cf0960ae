package executor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// forgetful is a store that cannot be told of topics for a while, and counts how often it is.
type forgetful struct {
	*memory.Store
	err  error
	told int
}

func (s *forgetful) ChangeTopics(ctx context.Context, add, remove lifecycle.Topics) error {
	s.told++
	if s.err != nil {
		return s.err
	}
	return s.Store.ChangeTopics(ctx, add, remove)
}

// A replica tells the store what it receives: until the store knows it, and again once a snapshot shows that it was forgotten.
func TestReplicaTellsWhatItReceives(t *testing.T) {
	f := newFleet(t)
	store := &forgetful{Store: f.store, err: errors.New("not now")}
	audit := &inbox{}
	e, err := executor.New(store, executor.Config{Auditor: audit.receive, Logger: quiet})
	f.must(err)
	topics := func() lifecycle.Topics {
		got, err := f.store.Engine(f.ctx)
		f.must(err)
		return got.Topics
	}
	wantStats(t, e.Tick(f.ctx, monday), 0, 0, 0)
	if topics() != 0 || store.told != 1 {
		t.Fatalf("a store that refuses has topics %v, told %d times", topics().List(), store.told)
	}
	store.err = nil
	for range 3 {
		wantStats(t, e.Tick(f.ctx, monday), 0, 0, 0)
	}
	if topics() != 1<<lifecycle.TopicAudit || store.told != 2 {
		t.Fatalf("topics %v, told %d times, want the audit log, told twice", topics().List(), store.told)
	}

	f.must(f.store.ChangeTopics(f.ctx, 0, lifecycle.AllTopics)) // as a process does that does not know of them
	f.add(dueStops(1)...)
	wantStats(t, e.Tick(f.ctx, monday), 1, 0, 0) // sees it
	f.relay(e, 1)
	wantStats(t, e.Tick(f.ctx, monday), 0, 0, 0)
	if topics() != 1<<lifecycle.TopicAudit {
		t.Errorf("topics %v, want the audit log again", topics().List())
	}
}

// A process that receives nothing and has read nothing writes the events of others with what it records.
func TestRecordAsksWhatOthersReceive(t *testing.T) {
	f := newFleet(t)
	f.must(f.store.ChangeTopics(f.ctx, 1<<lifecycle.TopicAudit, 0))
	c, err := executor.NewClient(f.store, executor.ClientConfig{Logger: quiet})
	f.must(err)
	template := lifecycle.Template{ID: uuid.New(), Name: "go-dev", ActiveVersionID: uuid.New()}
	event := lifecycle.Event{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged, TemplateID: template.ID, At: monday}
	f.must(c.Record(f.ctx, func(w lifecycle.Writer) error { return w.PutTemplate(f.ctx, monday, template) }, event))
	events, err := f.store.ClaimEvents(f.ctx, monday, []lifecycle.Topic{lifecycle.TopicAudit}, time.Minute, 10)
	f.must(err)
	if len(events) != 1 || events[0].TemplateID != template.ID {
		t.Errorf("events: %+v", events)
	}
}
