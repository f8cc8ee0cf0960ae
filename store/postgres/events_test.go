package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// A zero character in an event keeps neither the others from being pruned nor anybody from being forgotten; what only looks like
// one stays as it is.
func TestAZeroCharacterInAnEvent(t *testing.T) {
	s, _ := open(t)
	ctx := t.Context()
	f := newFleet(t, s, 1)
	c := started(t, load(t, s, f.ids...)[0])
	note := "C:\\u0000 is no zero, \x00 is\\"
	c.Events = []lifecycle.Event{
		{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged, At: epoch, WorkspaceID: f.ids[0], Note: note, Actor: "\x00ann"},
		{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged, At: epoch, WorkspaceID: f.ids[0]},
	}
	_, err := s.Commit(ctx, epoch, []lifecycle.Change{c})
	must(t, err)
	must(t, s.Forget(ctx, store.Person{Names: []string{"bob"}, Pseudonym: uuid.New()}))
	pruned, err := s.PruneEvents(ctx, epoch.Add(time.Hour), []lifecycle.Topic{lifecycle.TopicAudit}, 10)
	must(t, err)
	if len(pruned) != 2 || pruned[0].Note != strings.ReplaceAll(note, "\x00", "\uFFFD") || pruned[0].Actor != "\uFFFDann" {
		t.Errorf("pruned: %+v", pruned)
	}
}
