package memory_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/memory"
)

// What a pool knows comes back with the rest: a key that was used is known, and a ready member can be claimed.
func TestDumpAndRestoreOfMembers(t *testing.T) {
	s, ids := lived(t)
	ctx := t.Context()
	members := make([]prewarm.Change, len(ids))
	for i, id := range ids {
		members[i].Member = prewarm.Member{ID: id, Resource: id, Pool: "go", Version: "v1", State: prewarm.Ready, ReadyAt: monday}
	}
	reused := uuid.New()
	members[2].Member.Deadline = monday
	members = append(members, prewarm.Change{Member: prewarm.Member{ID: reused, Resource: ids[0], Pool: "go", State: prewarm.Cleaning}})
	_, err := s.PutMembers(ctx, &prewarm.PoolState{Pool: "go", Paused: true, PausedBy: "ops"}, members)
	must(t, err)
	pick := prewarm.Pick{Pool: "go", Version: "v1"}
	grants, err := s.ClaimMembers(ctx, monday, pick, []prewarm.Claim{{Key: "k", Owner: "ann", Details: "d"}})
	must(t, err)

	back := restored(t, s)
	if lines(t, back) != lines(t, s) {
		t.Errorf("dumped again:\n%s\nwant:\n%s", lines(t, back), lines(t, s))
	}
	again, err := back.ClaimMembers(ctx, monday, pick, []prewarm.Claim{{Key: "k", Owner: "ann"}, {Key: "l", Owner: "bob"}})
	must(t, err)
	if again[0].Result != prewarm.GrantAgain || again[0].Member != grants[0].Member || again[1].Result != prewarm.GrantNew {
		t.Errorf("claims after the restore: %+v, want %+v again and a new one", again, grants[0].Member)
	}
	state, err := back.PoolState(ctx, "go")
	must(t, err)
	if state.Revision != 1 || state.PausedBy != "ops" {
		t.Errorf("state %+v", state)
	}
	found, err := back.Members(ctx, prewarm.Query{Pool: "go", Resources: ids[:1]})
	must(t, err)
	if len(found) != 2 {
		t.Errorf("%d members of a reused resource", len(found))
	}
}

// A dump in which somebody has changed a claim into what no claim is accepted with is refused.
func TestRestoreRefusesClaims(t *testing.T) {
	for name, change := range map[string]func(c *prewarm.Claim){
		"key":     func(c *prewarm.Claim) { c.Key = "a\x1bb" },
		"owner":   func(c *prewarm.Claim) { c.Owner = "ann\nbob" },
		"tenant":  func(c *prewarm.Claim) { c.Tenant = "a\u202eb" },
		"details": func(c *prewarm.Claim) { c.Details = "\x00" },
	} {
		t.Run(name, func(t *testing.T) {
			s, ids := lived(t)
			m := prewarm.Member{ID: ids[0], Pool: "go", State: prewarm.Claimed, Claim: prewarm.Claim{Key: "k", Owner: "ann"}}
			change(&m.Claim)
			_, err := s.PutMembers(t.Context(), nil, []prewarm.Change{{Member: m}}) // no pool does
			must(t, err)
			if _, err := memory.Restore(strings.NewReader(dumpOf(t, s)), nil); !errors.Is(err, invalid.Err) {
				t.Errorf("restored, error %v", err)
			}
		})
	}
}

// Events of two templates, which no workspace has, are lines of their own in a dump too.
func TestDumpOfEventsWithoutAWorkspace(t *testing.T) {
	s, _ := lived(t)
	for range 2 {
		template := lifecycle.Template{ID: uuid.New(), OrganizationID: uuid.New(), Name: "go"}
		must(t, s.Recording(lifecycle.Event{Topic: lifecycle.TopicAudit, At: monday, TemplateID: template.ID}).PutTemplate(t.Context(), monday, template))
	}
	claim := func(s *memory.Store) []lifecycle.Event {
		events, err := s.ClaimEvents(t.Context(), monday, []lifecycle.Topic{lifecycle.TopicAudit}, time.Minute, 100)
		must(t, err)
		return events
	}
	back := restored(t, s)
	if got, want := len(claim(back)), len(claim(s)); got != want || want < 2 {
		t.Errorf("%d events after the restore, want %d", got, want)
	}
}
