package acquirer

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

// A look that is under way is known of until it is over, also where nobody waits any more: who comes then has one follow it, and none
// beside it.
func TestLookUnderWayIsNotForgotten(t *testing.T) {
	t.Parallel()
	l, id, nobody := newLooks(), uuid.New(), func(uuid.UUID) bool { return false }
	org := l.of(id)
	org.looking, org.lookedAt, org.planned = true, time.Now(), time.Now()
	if l.forget(nobody); l.orgs[id] != org || !org.looking || !org.lookedAt.IsZero() || !org.planned.IsZero() {
		t.Errorf("while it is under way: %+v", l.orgs[id])
	}
	org.looking = false
	if l.forget(nobody); len(l.orgs) > 0 {
		t.Errorf("when it is over: %+v", l.orgs[id])
	}
}
