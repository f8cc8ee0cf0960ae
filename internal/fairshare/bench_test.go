package fairshare_test

import (
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/internal/fairshare"
)

// BenchmarkCall is a call with all that surrounds it, of a user who is alone and of one beside another.
func BenchmarkCall(b *testing.B) {
	for name, others := range map[string]bool{"lone": false, "beside": true} {
		b.Run(name, func(b *testing.B) {
			l := fairshare.New[[16]byte](quartz.NewReal(), .5)
			one, other := [16]byte{1}, [16]byte{2}
			b.ReportAllocs()
			for b.Loop() {
				if others {
					l.Seen(other)
				}
				u, err := l.Enter(b.Context(), one)
				if err != nil {
					b.Fatal(err)
				}
				u.Leave()
				l.Seen(one)
				if l.Pause(one) > 0 {
					b.Fatal("who does nothing pauses")
				}
				l.Spend(one, time.Nanosecond)
			}
		})
	}
}
