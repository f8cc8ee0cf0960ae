package executor_test

import (
	"context"
	"errors"
	"testing"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// What is recorded beside a write is kept for those topics alone that somebody receives, also in another process.
func TestRecordWritesWhatSomebodyReceives(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, stopped()))
	event := lifecycle.Event{Topic: lifecycle.TopicAudit, Kind: "test", At: monday, TemplateID: id(0xff)}
	waiting := func() int {
		b, err := f.store.Backlog(f.ctx, monday)
		f.must(err)
		return b.Events
	}
	written := 0
	record := func() {
		t.Helper()
		f.must(f.client(executor.ClientConfig{}).Record(f.ctx, func(lifecycle.Writer) error { written++; return nil }, event))
	}
	record()
	f.must(f.store.ChangeTopics(f.ctx, lifecycle.AllTopics, 0))
	w := f.load(1).Template
	w.Name = "renamed"
	f.must(f.client(executor.ClientConfig{}).Record(f.ctx, func(into lifecycle.Writer) error { written++; return into.PutTemplate(f.ctx, monday, w) }, event))
	if n := waiting(); n != 1 || written != 2 {
		t.Errorf("%d events wait, %d writes, want 1 and 2", n, written)
	}
	c, err := executor.NewClient(bare{f.store}, executor.ClientConfig{Logger: quiet})
	f.must(err)
	if err := c.Record(f.ctx, func(lifecycle.Writer) error { t.Error("it writes"); return nil }, event); !errors.Is(err, invalid.Err) {
		t.Errorf("a store that records nothing: %v", err)
	}
}

// engineless is a store whose engine cannot be read.
type engineless struct{ *memory.Store }

func (engineless) Engine(context.Context) (lifecycle.Engine, error) {
	return lifecycle.Engine{}, errBroken
}

// Nothing is written beside an event of which nobody knows whether it is received, and an error of the write is that of the record.
func TestRecordsThatFail(t *testing.T) {
	f := newFleet(t)
	event := lifecycle.Event{Topic: lifecycle.TopicAudit, Kind: "test", At: monday, TemplateID: id(0xff)}
	c, err := executor.NewClient(engineless{f.store}, executor.ClientConfig{Logger: quiet})
	f.must(err)
	if err := c.Record(f.ctx, func(lifecycle.Writer) error { t.Error("it writes"); return nil }, event); !errors.Is(err, errBroken) {
		t.Errorf("an engine that cannot be read: %v", err)
	}
	if err := f.client(executor.ClientConfig{}).Record(f.ctx, func(lifecycle.Writer) error { return errBroken }, event); !errors.Is(err, errBroken) {
		t.Errorf("a write that fails: %v", err)
	}
}
