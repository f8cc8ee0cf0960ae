package acquirer

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Whom the store fails is told from what fails for whom.
func TestHealth(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	a, b, c := uuid.New(), uuid.New(), uuid.New()
	type step struct {
		after   time.Duration
		whose   []uuid.UUID // none: all
		listing bool
		err     error
	}
	fails := func(id uuid.UUID) step { return step{whose: []uuid.UUID{id}, err: down} }
	succeeds := func(id uuid.UUID) step { return step{whose: []uuid.UUID{id}} }
	listed := func(err error, ids ...uuid.UUID) step { return step{whose: ids, listing: true, err: err} }
	for name, test := range map[string]struct {
		steps []step
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
			steps: []step{fails(a), fails(a), fails(a)}, waits: map[uuid.UUID]time.Duration{a: 4 * firstPause}, failures: 3,
		},
		"one fails, and is back": {steps: []step{fails(a), fails(a), succeeds(a)}},
		"one fails, others do not": {
			steps: []step{fails(a), succeeds(b), fails(a), succeeds(b)}, waits: map[uuid.UUID]time.Duration{a: 2 * firstPause},
		},
		"two fail": {
			steps: []step{fails(a), fails(b)}, waits: map[uuid.UUID]time.Duration{a: firstPause, b: firstPause}, all: firstPause, failures: 2,
		},
		"two fail, one of them again": {
			steps: []step{fails(a), fails(b), {after: firstPause - 1, whose: []uuid.UUID{a}, err: down}},
			waits: map[uuid.UUID]time.Duration{a: 2 * firstPause, b: firstPause}, all: firstPause, failures: 3,
		},
		"two that are known to fail": {
			steps: []step{fails(a), fails(b), succeeds(c), fails(a), fails(b), fails(a)},
			waits: map[uuid.UUID]time.Duration{a: 4 * firstPause, b: 2 * firstPause}, failures: 3,
		},
		"three fail": {
			steps: []step{fails(a), fails(b), fails(c)},
			waits: map[uuid.UUID]time.Duration{a: 2 * firstPause, b: 2 * firstPause, c: 2 * firstPause}, all: 2 * firstPause, failures: 3,
		},
		"a listing of one fails": {steps: []step{listed(down, a)}, waits: map[uuid.UUID]time.Duration{a: firstPause}, failures: 1, apart: []uuid.UUID{a}},
		"a listing of several fails": {
			steps: []step{listed(down, a, b)}, waits: map[uuid.UUID]time.Duration{a: 0, b: 0}, apart: []uuid.UUID{a, b},
		},
		"each of several is listed":        {steps: []step{listed(down, a, b), listed(nil, a)}, apart: []uuid.UUID{b}},
		"a claim says nothing of listings": {steps: []step{listed(down, a, b), succeeds(a)}, apart: []uuid.UUID{a, b}},
		"a listing of all fails": {
			steps: []step{listed(down)}, waits: map[uuid.UUID]time.Duration{uuid.Nil: firstPause}, failures: 1,
		},
		"a listing of several says nothing of one of all": {
			steps: []step{listed(down), listed(down), listed(nil, a, b)}, waits: map[uuid.UUID]time.Duration{uuid.Nil: 2 * firstPause},
			alone: true,
		},
		"listings of all fail as others do": {
			steps: []step{listed(down), listed(down), fails(a)}, waits: map[uuid.UUID]time.Duration{uuid.Nil: 2 * firstPause, a: firstPause},
			all: firstPause, failures: 3,
		},
		"a listing of all that is back": {steps: []step{listed(down), listed(nil)}, waits: map[uuid.UUID]time.Duration{uuid.Nil: 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, now := newHealth(), time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
			for _, s := range test.steps {
				now = now.Add(s.after)
				if s.listing {
					if got := h.noteListing(s.whose, s.err, now); got != (s.err != nil && len(s.whose) > 1) {
						t.Errorf("a listing of %d that ended with %v failed for several: %v", len(s.whose), s.err, got)
					}
				} else {
					h.note(whose(s.whose), s.err, now)
				}
			}
			for id, want := range test.waits {
				if got := h.wait(id, now); max(got, 0) != want {
					t.Errorf("waits %s, want %s", got, want)
				}
				if got := h.fails(id); got != (want > 0) {
					t.Errorf("of one that waits %s: fails %v", want, got)
				}
			}
			if got := h.wait(uuid.New(), now); max(got, 0) != test.all {
				t.Errorf("others wait %s, want %s", got, test.all)
			}
			got, failing := h.inARow()
			if _, all := failing[uuid.Nil]; got != test.failures || all {
				t.Errorf("%d failures in a row, want %d; %v", got, test.failures, failing)
			}
			if got := h.failsAlone(uuid.Nil); got != test.alone {
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

// What is remembered of organizations for which nobody waits is forgotten, but not while it matters.
func TestHealthForgets(t *testing.T) {
	t.Parallel()
	h, now := newHealth(), time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
	here, gone, apart := uuid.New(), uuid.New(), uuid.New()
	for _, id := range []uuid.UUID{gone, uuid.Nil} {
		h.fail(id, now)
	}
	h.noteListing([]uuid.UUID{here, apart}, errors.New("down"), now)
	known := func(id uuid.UUID) bool { return id == here }
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{2 * maxPause, 2}, {2*maxPause + 1, 0}} {
		h.forget(known, now.Add(c.after))
		_, listedAlone := h.split([]uuid.UUID{here})
		if len(h.failing) != c.want || len(h.apart) != 1 || len(listedAlone) != 1 {
			t.Errorf("after %s: %d failing, apart %v", c.after, len(h.failing), h.apart)
		}
	}
}
