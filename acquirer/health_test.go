package acquirer

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
)

// healthStep is what came of one call.
type healthStep struct {
	after   time.Duration
	whose   []uuid.UUID // none: all
	listing bool
	err     error
}

func (s healthStep) take(h *health, now time.Time) {
	switch {
	case s.listing && s.err != nil && len(s.whose) > 1:
		h.separate(s.whose)
	case s.err != nil:
		h.fail(listingOf(s.whose), 0, now)
	case s.listing:
		h.listed(s.whose)
	default:
		h.succeed(listingOf(s.whose))
	}
}

// Whom the store fails is told from what fails for whom.
func TestHealth(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	a, b, c := uuid.New(), uuid.New(), uuid.New()
	fails := func(id uuid.UUID) healthStep { return healthStep{whose: []uuid.UUID{id}, err: down} }
	succeeds := func(id uuid.UUID) healthStep { return healthStep{whose: []uuid.UUID{id}} }
	listed := func(err error, ids ...uuid.UUID) healthStep { return healthStep{whose: ids, listing: true, err: err} }
	for name, test := range map[string]struct {
		steps []healthStep
		// waits are the pauses of some, and all that of those whose calls have not failed.
		waits    map[uuid.UUID]time.Duration
		all      time.Duration
		failures int
		apart    []uuid.UUID
		// alone: listings of all fail alone.
		alone bool
	}{
		"nothing": {},
		"one fails": {
			steps: []healthStep{fails(a), fails(a), fails(a)}, waits: map[uuid.UUID]time.Duration{a: 4 * firstPause}, failures: 3,
		},
		"one fails, and is back": {steps: []healthStep{fails(a), fails(a), succeeds(a)}},
		"one fails, others do not": {
			steps: []healthStep{fails(a), succeeds(b), fails(a), succeeds(b)}, waits: map[uuid.UUID]time.Duration{a: 2 * firstPause},
		},
		"two fail": {
			steps: []healthStep{fails(a), fails(b)}, waits: map[uuid.UUID]time.Duration{a: firstPause, b: firstPause}, all: firstPause, failures: 2,
		},
		"two fail, one of them again": {
			steps: []healthStep{fails(a), fails(b), {after: firstPause - 1, whose: []uuid.UUID{a}, err: down}},
			waits: map[uuid.UUID]time.Duration{a: 2 * firstPause, b: firstPause}, all: firstPause, failures: 3,
		},
		"two that are known to fail": {
			steps: []healthStep{fails(a), fails(b), succeeds(c), fails(a), fails(b), fails(a)},
			waits: map[uuid.UUID]time.Duration{a: 4 * firstPause, b: 2 * firstPause}, failures: 3,
		},
		"three fail": {
			steps: []healthStep{fails(a), fails(b), fails(c)},
			waits: map[uuid.UUID]time.Duration{a: 2 * firstPause, b: 2 * firstPause, c: 2 * firstPause}, all: 2 * firstPause, failures: 3,
		},
		"a listing of one fails": {steps: []healthStep{listed(down, a)}, waits: map[uuid.UUID]time.Duration{a: firstPause}, failures: 1, apart: []uuid.UUID{a}},
		"a listing of several fails": {
			steps: []healthStep{listed(down, a, b)}, waits: map[uuid.UUID]time.Duration{a: 0, b: 0}, apart: []uuid.UUID{a, b},
		},
		"each of several is listed":        {steps: []healthStep{listed(down, a, b), listed(nil, a)}, apart: []uuid.UUID{b}},
		"a claim says nothing of listings": {steps: []healthStep{listed(down, a, b), succeeds(a)}, apart: []uuid.UUID{a, b}},
		"a listing of all fails": {
			steps: []healthStep{listed(down)}, waits: map[uuid.UUID]time.Duration{uuid.Nil: firstPause}, failures: 1,
		},
		"a listing of several says nothing of one of all": {
			steps: []healthStep{listed(down), listed(down), listed(nil, a, b)}, waits: map[uuid.UUID]time.Duration{uuid.Nil: 2 * firstPause},
			alone: true,
		},
		"listings of all fail as others do": {
			steps: []healthStep{listed(down), listed(down), fails(a)}, waits: map[uuid.UUID]time.Duration{uuid.Nil: 2 * firstPause, a: firstPause},
			all: firstPause, failures: 3,
		},
		"a listing of all that is back": {steps: []healthStep{listed(down), listed(nil)}, waits: map[uuid.UUID]time.Duration{uuid.Nil: 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, now := newHealth(), time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
			for _, s := range test.steps {
				now = now.Add(s.after)
				s.take(h, now)
			}
			for id, want := range test.waits {
				if got := h.wait(target{organization: id}, now); max(got, 0) != want {
					t.Errorf("waits %s, want %s", got, want)
				}
				if got := h.rank(target{organization: id}); (got == healthy) == (want > 0) {
					t.Errorf("of one that waits %s: rank %v", want, got)
				}
			}
			if got := h.wait(target{organization: uuid.New()}, now); max(got, 0) != test.all {
				t.Errorf("others wait %s, want %s", got, test.all)
			}
			if got := h.wait(listingOf([]uuid.UUID{a, b}), now); max(got, 0) != test.all {
				t.Errorf("a listing of several waits %s, want %s", got, test.all)
			}
			if got := h.rank(listingOf([]uuid.UUID{a, b})); got != healthy {
				t.Errorf("a listing of several has rank %v", got)
			}
			got, failing := h.inARow()
			if _, all := failing[uuid.Nil]; got != test.failures || all {
				t.Errorf("%d failures in a row, want %d; %v", got, test.failures, failing)
			}
			if got := h.failsAlone(); got != test.alone {
				t.Errorf("listings of all fail alone: %v", got)
			}
			apart := make(map[uuid.UUID]bool)
			for _, id := range test.apart {
				apart[id] = true
			}
			together, alone := h.split([]uuid.UUID{a, b, c})
			if len(together)+len(alone) != 3 {
				t.Errorf("split into %v and %v", together, alone)
			}
			for _, id := range alone {
				if !apart[id] && test.waits[id] == 0 {
					t.Error("an organization is listed alone that did not fail")
				}
				delete(apart, id)
			}
			if len(apart) > 0 {
				t.Errorf("%d organizations are listed together with others though that failed", len(apart))
			}
		})
	}
}

// What is remembered of organizations for which nobody waits is forgotten, but not while it matters, and what concerns all not so soon.
func TestHealthForgets(t *testing.T) {
	t.Parallel()
	h, now := newHealth(), time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
	here, gone, apart := uuid.New(), uuid.New(), uuid.New()
	for _, id := range []uuid.UUID{gone, uuid.Nil} {
		h.fail(target{organization: id}, 0, now)
	}
	h.separate([]uuid.UUID{here, apart})
	known := func(id uuid.UUID) bool { return id == here }
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{2 * maxPause, 2}, {2*maxPause + 1, 1}, {staleTrial, 1}, {staleTrial + 1, 0}} {
		h.forget(known, now.Add(c.after))
		_, listedAlone := h.split([]uuid.UUID{here})
		if len(h.failing) != c.want || len(h.apart) != 1 || len(listedAlone) != 1 {
			t.Errorf("after %s: %d failing, apart %v", c.after, len(h.failing), h.apart)
		}
	}
}

// What fails for some calls of an organization is told from what fails for all of them.
func TestHealthOfCalls(t *testing.T) {
	t.Parallel()
	h, now, org := newHealth(), time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC), uuid.New()
	domain := func(kind string) target {
		return claimOf(&dispatch.Domain{Domain: queue.Domain{Organization: org, Types: []string{kind}}})
	}
	x, y, listing := domain("x"), domain("y"), target{organization: org}
	want := func(what string, t0 target, r rank, wait time.Duration) {
		t.Helper()
		if got := h.rank(t0); got != r {
			t.Errorf("%s: rank %v, want %v", what, got, r)
		}
		if got := max(h.wait(t0, now), 0); got != wait {
			t.Errorf("%s: waits %v, want %v", what, got, wait)
		}
	}
	for i, r := range []rank{slow, slow, hanging, hanging} {
		h.fail(x, slowTrial, now)
		want("what failed", x, r, firstPause<<i)
		want("another, while none goes through", y, r, firstPause<<i)
	}
	if back := h.succeed(listing, y); len(back) > 0 {
		t.Errorf("%v are back that did not fail", back)
	}
	want("what still fails", domain("x"), hanging, firstPause<<3) // also made anew
	want("what goes through", y, healthy, 0)
	want("listings that do", listing, healthy, 0)
	h.fail(y, slowTrial-1, now)
	want("what fails at once", y, quick, firstPause)
	want("listings beside it", listing, quick, firstPause)
	if _, failing := h.inARow(); failing[org] != 5 {
		t.Errorf("failures in a row: %v", failing)
	}
	if back := h.succeed(x); len(back) != 1 {
		t.Errorf("%v are back", back)
	}
	want("what is back", x, healthy, 0)
	known := func(uuid.UUID) bool { return true }
	h.forget(known, now.Add(staleTrial))
	want("what failed lately", y, quick, firstPause)
	h.forget(known, now.Add(staleTrial+1))
	if _, failing := h.inARow(); failing != nil {
		t.Errorf("failing is still %v", failing)
	}
}

// Claims of a host without organizations are counted as those of one, and listings of all are nobody's.
func TestFailuresOfAHostWithoutOrganizations(t *testing.T) {
	t.Parallel()
	h, now := newHealth(), time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
	h.fail(target{}, 0, now)
	if _, failing := h.inARow(); failing != nil {
		t.Errorf("listings of all: %v", failing)
	}
	h.fail(claimOf(&dispatch.Domain{}), 0, now)
	if _, failing := h.inARow(); failing[uuid.Nil] != 1 || len(failing) != 1 {
		t.Errorf("a claim: %v", failing)
	}
}
