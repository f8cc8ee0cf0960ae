package workspaces_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
)

// A claim that gets a member is told so as one that is new, however many others are ready.
func TestClaimBesideManyReadyMembers(t *testing.T) {
	bubble(t, 30, func(r *rig) { r.pool.Spec.Ceiling = 30 }, func(r *rig) {
		pick := prewarm.Pick{Pool: "go", Version: r.pool.Spec.Version}
		grants, err := r.w.ClaimMembers(r.t.Context(), time.Now(), pick, []prewarm.Claim{{Key: "1", Owner: "ann", Details: "one"}})
		r.must(err)
		if grants[0].Result != prewarm.GrantNew {
			t.Errorf("result %v, want %v", grants[0].Result, prewarm.GrantNew)
		}
		if h := r.claim(prewarm.Request{Owner: "ann", Details: "two"}); h.Source != prewarm.Warm {
			t.Errorf("source %v, want %v", h.Source, prewarm.Warm)
		}
	})
}
