package prewarm_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
)

// refusing is a store that refuses what is put of some members.
type refusing struct {
	prewarm.Store
	mu      sync.Mutex
	members map[uuid.UUID]bool
	why     error
	most    int // changes of a call, 0: any number
	puts    int // that were refused since refuse
}

func (s *refusing) refuse(why error, members ...uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members, s.why, s.puts = map[uuid.UUID]bool{}, why, 0
	for _, id := range members {
		s.members[id] = true
	}
}

func (s *refusing) PutMembers(ctx context.Context, state *prewarm.PoolState, changes []prewarm.Change) ([]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		if s.members[c.Member.ID] || s.most > 0 && len(changes) > s.most {
			s.puts++
			return nil, s.why
		}
	}
	return s.Store.PutMembers(ctx, state, changes)
}

// A member that the store refuses to have changed keeps no other one from being changed in the same plan, and none from being created.
func TestPlanGoesOnWithoutAMemberThatIsRefused(t *testing.T) {
	var s *refusing
	bubble(t, 6, func(r *rig) {
		s = &refusing{Store: r.store}
		r.store, r.cfg.Spec.Ceiling = s, 20
	}, func(r *rig) {
		var claimed []uuid.UUID
		for range 5 {
			claimed = append(claimed, r.claim(prewarm.Request{IdleTimeout: 10 * time.Minute}).Member.ID)
		}
		s.refuse(errors.New("kept by the host"), claimed[2])
		r.wait(15 * time.Minute) // all claims end in one plan
		for i, id := range claimed {
			if m := r.member(id); (m.State == prewarm.Claimed) != (i == 2) {
				t.Errorf("member %d is %s", i, m.State)
			}
		}
		r.want(6, prewarm.Ready)
		s.refuse(nil)
		r.wait(time.Minute)
		if m := r.member(claimed[2]); m.State == prewarm.Claimed {
			t.Errorf("once it can be changed, the member is %s", m.State)
		}
	})
}

// Creations that are written in parts are written over the state of the pool that the part before has left.
func TestCreationsThatAreWrittenInParts(t *testing.T) {
	var s *refusing
	bubble(t, 3, func(r *rig) {
		s = &refusing{Store: r.store}
		r.store, r.cfg.Spec.Ceiling = s, 20
	}, func(r *rig) {
		s.refuse(errors.New("too many"))
		s.mu.Lock()
		s.most = 1
		s.mu.Unlock()
		spec := r.cfg.Spec
		spec.Floor = 12
		if err := r.pool.SetSpec(spec); err != nil {
			t.Fatal(err)
		}
		r.wait(100 * time.Millisecond)
		r.want(9, prewarm.Starting)
		if s.puts != 8 { // each division of nine
			t.Errorf("%d puts were refused", s.puts)
		}
	})
}

// However many members are refused, a plan tries so many and no more.
func TestPlanTriesSoManyMembers(t *testing.T) {
	var s *refusing
	const n = 100
	bubble(t, n, func(r *rig) {
		s = &refusing{Store: r.store}
		r.store, r.cfg.Spec.Ceiling = s, 2*n
	}, func(r *rig) {
		var claimed []uuid.UUID
		for range n {
			claimed = append(claimed, r.claim(prewarm.Request{IdleTimeout: 10 * time.Minute}).Member.ID)
		}
		r.wait(5 * time.Minute)
		s.refuse(errors.New("kept by the host"), claimed...)
		r.wait(5*time.Minute + 500*time.Millisecond)
		if s.puts < 20 || s.puts > 50 {
			t.Errorf("tried %d times", s.puts)
		}
	})
}

// Where the store cannot be reached, a plan is not tried in parts.
func TestPlanOfAStoreThatIsUnavailable(t *testing.T) {
	var s *refusing
	bubble(t, 3, func(r *rig) {
		s = &refusing{Store: r.store}
		r.store = s
	}, func(r *rig) {
		var claimed []uuid.UUID
		for range 3 {
			claimed = append(claimed, r.claim(prewarm.Request{IdleTimeout: 10 * time.Minute}).Member.ID)
		}
		r.wait(5 * time.Minute)
		s.refuse(lifecycle.ErrUnavailable, claimed...)
		r.wait(5*time.Minute + 500*time.Millisecond) // one plan, and a second's pause before the next
		if s.puts != 1 {
			t.Errorf("tried %d times", s.puts)
		}
	})
}
