package store_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// Who is forgotten leaves what a later version has stored beside them.
func TestRewritingWhatALaterVersionStored(t *testing.T) {
	p := store.Person{ID: uuid.New(), Names: []string{"zoe"}, Pseudonym: uuid.New()}
	event, err := json.Marshal(lifecycle.Event{
		Topic: lifecycle.TopicPost, Kind: lifecycle.EventBuildQueued, At: time.Unix(0, 0), OrganizationID: uuid.New(), WorkspaceID: uuid.New(),
		OwnerID: p.ID, Actor: "zoe", Job: &lifecycle.Job{ID: uuid.New(), OwnerID: p.ID, Transition: lifecycle.TransitionStart},
	})
	must(t, err)
	history, err := json.Marshal([]queue.Attempt{{Attempt: 1}, {Attempt: 2, By: "zoe"}})
	must(t, err)
	for name, c := range map[string]struct {
		rewrite func([]byte) ([]byte, bool, error)
		text    string
		objects int
	}{
		"event": {p.RewriteEvent, later(string(event)), 2}, "history": {p.RewriteAttempts, later(string(history)), 2},
	} {
		t.Run(name, func(t *testing.T) {
			next, found, err := c.rewrite([]byte(c.text))
			must(t, err)
			if !found || strings.Contains(string(next), "zoe") || strings.Contains(string(next), p.ID.String()) {
				t.Errorf("found %v, and left is %s", found, next)
			}
			if n := strings.Count(string(next), `"later":12345678901234567890`); n != c.objects {
				t.Errorf("%d of %d objects kept what was not known: %s", n, c.objects, next)
			}
		})
	}
	if next, found, err := p.RewriteEvent([]byte(`{"topic":"gossip"}`)); next != nil || found || err != nil {
		t.Errorf("an event that cannot be read became %s, %v, %v", next, found, err)
	}
	if next, found, err := p.RewriteAttempts([]byte(later(`[{"By":"ben"}]`))); next != nil || found || err != nil {
		t.Errorf("a history of others became %s, %v, %v", next, found, err)
	}
}

// later adds a member to each object of a text.
func later(text string) string {
	return strings.ReplaceAll(text, `{"`, `{"later":12345678901234567890,"`)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
