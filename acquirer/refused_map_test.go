package acquirer

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// A refused job is remembered until a minute after it may be tried again, and no more of them than a thousand, of which each is told anew.
func TestRefusedAreForgotten(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
	for again, want := range map[time.Duration]time.Duration{0: time.Minute, -time.Hour: time.Minute, time.Hour: time.Hour + time.Minute} {
		r, id := make(refused), uuid.New()
		r.add([]queue.Refusal{{Job: id, Again: now.Add(again)}}, now)
		if r.forget(now.Add(want - 1)); r.of(id) == nil {
			t.Errorf("again in %s: forgotten too soon", again)
		}
		if r.forget(now.Add(want)); r.of(id) != nil {
			t.Errorf("again in %s: not forgotten", again)
		}
	}
	r, many := make(refused), make([]queue.Refusal, maxRefused+1)
	for i := range many {
		many[i].Job = uuid.New()
	}
	r.add(many, now)
	many[0].Why = "something else"
	r.add(many, now)
	if len(r) != maxRefused || r.of(many[maxRefused].Job) != nil || r.of(many[0].Job).Why != many[0].Why {
		t.Errorf("%d are remembered, the first of them as %+v", len(r), r.of(many[0].Job))
	}
	list := (&Acquirer{refused: r}).Refused()
	byID := func(x, y queue.Refusal) int { return strings.Compare(x.Job.String(), y.Job.String()) }
	if len(list) != maxRefused || !slices.IsSortedFunc(list, byID) {
		t.Errorf("%d are returned, by id %v", len(list), slices.IsSortedFunc(list, byID))
	}
}
