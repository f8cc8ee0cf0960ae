package goroutines

import (
	"testing"
	"testing/synctest"
	"time"
)

// Who is on the way to wait while a look sends the others away is sent away by a later one.
func TestLookRemembersWhoIsOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rest = time.Second
		p := New(1, rest)
		p.waiting.Add(1) // as next does
		p.watch()
		time.Sleep(2 * rest)
		synctest.Wait() // the look has found nobody
		if work := <-p.feed; work != nil {
			t.Error("work that nobody gave")
		}
		p.waiting.Add(-1)
	})
}
