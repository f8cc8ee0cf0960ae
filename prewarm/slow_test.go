package prewarm_test

import (
	"context"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/prewarmtest"
)

// Creations that hang keep no member from being destroyed, and no destruction that hangs keeps what a claimer who left had from
// the others.
func TestSlowBackendHoldsUpNothingElse(t *testing.T) {
	bubble(t, 3, func(r *rig) { r.cfg.Concurrency = 1 }, func(r *rig) {
		r.backend.Set(func(k *prewarmtest.Knobs) { k.CreateTakes = time.Hour })
		h := r.claim(prewarm.Request{})
		r.wait(time.Second) // its replacement is being created, and will be for long
		if err := r.pool.Return(context.Background(), h.Member.ID); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Second)
		if got := r.member(h.Member.ID).State; got != prewarm.Gone {
			t.Errorf("a returned member is %s while another is created", got)
		}

		r.backend.Set(func(k *prewarmtest.Knobs) { k.DestroyTakes = time.Hour })
		if err := r.pool.Return(context.Background(), r.claim(prewarm.Request{}).Member.ID); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Second)
		r.want(1, prewarm.Deleting)
		r.claim(prewarm.Request{}) // the last one
		left, leave := context.WithCancel(context.Background())
		cold := make(chan error, 1)
		go func() {
			_, err := r.pool.Claim(left, prewarm.Request{Owner: "bob", Key: "k", IfEmpty: prewarm.Cold})
			cold <- err
		}()
		r.wait(time.Second)
		leave()
		if err := <-cold; err == nil {
			t.Error("a claim of somebody who left was handed out")
		}
		r.wait(time.Second)
		for _, m := range r.members(prewarm.Starting) {
			if m.Claim.Key != "" {
				t.Errorf("what was built for somebody who left is still kept for them: %+v", m.Claim)
			}
		}
	})
}
