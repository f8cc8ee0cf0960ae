package prewarm_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/prewarm"
)

// In one store a pool knows only members of its own: each verb answers the id of another pool's as it answers one that nobody has, and
// changes nothing. The same key of the same owner is another claim in each.
func TestIdsOfAnotherPool(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		t, ctx := r.t, r.t.Context()
		theirs := newRig(t, 1)
		theirs.store, theirs.cfg.Spec.Name = r.store, "theirs"
		theirs.start()
		defer func() { theirs.stop() }()
		r.wait(2 * time.Minute)
		claim := prewarm.Request{Owner: "ann", Key: "k"}
		ours, err := r.pool.Claim(ctx, claim)
		if err != nil {
			t.Fatal(err)
		}
		other, err := theirs.pool.Claim(ctx, claim)
		if err != nil || other.Member.ID == ours.Member.ID || other.Member.Pool != "theirs" {
			t.Fatalf("%+v, %v", other, err)
		}
		read := func() []prewarm.Member {
			found, err := r.store.Members(ctx, prewarm.Query{Pool: "theirs", IDs: []uuid.UUID{other.Member.ID}})
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			return found
		}
		before := read()
		for _, id := range []uuid.UUID{other.Member.ID, uuid.New()} {
			_, _, work := r.pool.Work(ctx, id)
			for verb, err := range map[string]error{"Return": r.pool.Return(ctx, id), "KeepAlive": r.pool.KeepAlive(ctx, id), "Work": work} {
				if !errors.Is(err, prewarm.ErrNotFound) {
					t.Errorf("%s: %v", verb, err)
				}
			}
		}
		if after := read(); !reflect.DeepEqual(before, after) {
			t.Errorf("before %+v\nafter  %+v", before, after)
		}
		if err := theirs.pool.Return(ctx, other.Member.ID); err != nil {
			t.Error(err)
		}
		if m, err := r.pool.ExplainClaim(ctx, "ann", "k"); err != nil || m.ID != ours.Member.ID {
			t.Errorf("its own claim after the other's end: %+v, %v", m, err)
		}
	})
}
