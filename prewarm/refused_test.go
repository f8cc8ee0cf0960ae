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
	puts    int // of several changes or of those members, since refuse
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
		if s.members[c.Member.ID] {
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
