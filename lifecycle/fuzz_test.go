package lifecycle_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// FuzzDecide decides on workspaces at any instant: no panic, the same answer again, the wake never later than what acts,
// Explain of one mind with Decide, and a change that does not act twice.
func FuzzDecide(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed, int64(seed)*7_777_777)
	}
	f.Add(uint64(1415), int64(217778138)) // a start given up, the next in time
	f.Fuzz(func(t *testing.T, seed uint64, offset int64) {
		s := seeded(seed).snapshot()
		now := shift.Add(time.Duration(offset)).UTC()
		d := lifecycle.Decide(s, now)
		if again := lifecycle.Decide(s, now); again != d {
			t.Fatalf("%+v, then %+v", d, again)
		}
		wake := lifecycle.NextWake(s, now)
		if d.Acts() != wake.Equal(now) && d.Err == nil {
			t.Fatalf("acts: %v, but the wake at %v is %v", d.Acts(), now, wake)
		}
		x := lifecycle.Explain(s, now)
		if d.Acts() && (x.Next != d.Rule || !x.NextAt.Equal(now)) {
			t.Fatalf("decides %v, explains %v at %v", d.Rule, x.Next, x.NextAt)
		}
		if !d.Acts() {
			return
		}
		c := lifecycle.Apply(s, d, now)
		s.Workspace, s.Build = c.Workspace, c.Build
		// What is given up as too late may leave an occurrence that is in time, but none that is too late as well.
		if next := lifecycle.Decide(s, now); next.Rule == d.Rule && (!d.Missed || next.Missed) {
			t.Fatalf("%s, and on its own change %s", words(d), words(next))
		}
	})
}
