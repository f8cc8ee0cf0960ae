package dispatch

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Workers that come and go below one that stays leave stale entries behind; they must not pile up.
func TestStaleEntriesAreDropped(t *testing.T) {
	t.Parallel()
	d := New(Hooks{Claim: func(*Domain) {}, Announce: func(queue.Lane, int64, int) {}})
	domain := func(tags map[string]string) queue.Domain {
		created, err := queue.NewDomain(uuid.UUID{1}, []string{"build"}, tags)
		if err != nil {
			t.Fatal(err)
		}
		return created
	}
	stays, comes := domain(map[string]string{"x": "1"}), domain(map[string]string{"x": "1", "y": "1"})
	lane := queue.Lane{Organization: uuid.UUID{1}, Type: "build", Tags: stays.Tags}
	d.Join(&Waiter{}, stays)
	d.PostLocal(lane, 1, 1)
	stale := 0
	for range 10_000 {
		w := &Waiter{}
		d.Join(w, comes)
		w.Leave(time.Time{})
		stale = max(stale, len(d.orgs[lane.Organization].lanes[lane].idle))
	}
	if stale > 32 {
		t.Errorf("%d entries for two domains", stale)
	}
}

// Dropping stale entries leaves the others, each once.
func TestDropStale(t *testing.T) {
	t.Parallel()
	created, err := queue.NewDomain(uuid.UUID{1}, []string{"build"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := New(Hooks{Claim: func(*Domain) {}, Announce: func(queue.Lane, int64, int) {}})
	l := d.organization(uuid.UUID{1}).lane(queue.Lane{Organization: uuid.UUID{1}, Type: "build", Tags: created.Tags})
	for range 3 {
		w := &Waiter{}
		d.Join(w, created)
		w.Leave(time.Time{})
	}
	d.Join(&Waiter{}, created)
	l.dropStale()
	if len(l.idle) != 1 || l.idle[0].stale() {
		t.Errorf("%d entries are left, want the one that counts", len(l.idle))
	}
}
