package dispatch_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
)

// many lets n workers of their own kind wait, and posts as many kinds of jobs, each of which one of them can run. It returns
// how long that took.
func many(t *testing.T, n int) time.Duration {
	d := newDesk(t)
	tags := func(i int) map[string]string { return map[string]string{"os": "linux", "kind": fmt.Sprint(i)} }
	begun := time.Now()
	for i := range n {
		d.join(tags(i))
	}
	for i := range n {
		d.PostLocal(d.lane(tags(i)), 0, 1)
	}
	took := time.Since(begun)
	if len(d.queued) != n {
		t.Errorf("%d claims for %d jobs", len(d.queued), n)
	}
	return took
}

// New tag sets beside many domains cost a comparison with those that share their rarest tag, not one with each. With a
// comparison for each pair half as many took 15 seconds.
func TestManyKinds(t *testing.T) {
	t.Parallel()
	const bound = 20 * time.Second
	if took := fastest(bound, func() time.Duration { return many(t, 8000) }); took > bound {
		t.Errorf("8,000 kinds of jobs beside 8,000 kinds of workers took %s", took)
	}
}

// What is done in one hold of a lock is bounded however many lanes come at once and however many domains they are compared with,
// and comes to an end.
func TestPartIsBounded(t *testing.T) {
	t.Parallel()
	for breadth, want := range map[int]int{0: 256, 64: 128, 1024: 15, 1 << 14: 1, math.MaxInt32: 1} {
		if got := dispatch.Part(100_000, func(int) int { return breadth }); got != want {
			t.Errorf("%d lanes at once beside %d domains, want %d", got, breadth, want)
		}
		if got := dispatch.Part(1, func(int) int { return breadth }); got != 1 {
			t.Errorf("%d of 1 lane at once", got)
		}
	}
	broad := func(i int) int { return i % 2 * 4096 } // of several organizations
	if got := dispatch.Part(100, broad); got != 7 {
		t.Errorf("%d lanes at once", got)
	}
	d := newDesk(t)
	for i := range 3 {
		d.join(map[string]string{"host": fmt.Sprint(i)})
	}
	if got, none := d.Breadth(org), d.Breadth(uuid.UUID{77}); got != 3 || none != 0 {
		t.Errorf("a lane is compared with %d domains, one of strangers with %d", got, none)
	}
}

// fastest is how long something took that may be held up by others on the machine: the first time below a bound, of three.
func fastest(bound time.Duration, f func() time.Duration) (took time.Duration) {
	for range 3 {
		if took = f(); took <= bound {
			return took
		}
	}
	return took
}

// An organization with more lanes that hold something than are remembered of clean ones does not look through all of them
// for each new one.
func TestMoreLanesThanAreRemembered(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.join(map[string]string{"os": "windows"})
	begun := time.Now()
	const n = 40_000
	var listed []queue.ReadyLane
	for i := range n {
		listed = append(listed, queue.ReadyLane{Lane: d.lane(map[string]string{"kind": fmt.Sprint(i)}), Count: 1})
	}
	d.Listed(nil, d.Mark(), listed, true)
	if took := time.Since(begun); took > time.Minute { // with a look through all of them for each it takes several
		t.Errorf("%d lanes took %s", n, took)
	}
	if got := d.Lanes(); got != n {
		t.Errorf("%d lanes of %d are known", got, n)
	}
	d.Listed(nil, d.Mark(), nil, true) // all are empty
	d.PostLocal(d.lane(map[string]string{"kind": "one more"}), 0, 1)
	d.PostLocal(d.lane(map[string]string{"kind": "and one"}), 0, 1)
	for i := range n {
		d.PostLocal(d.lane(map[string]string{"later": fmt.Sprint(i)}), 0, 1)
	}
	if got := d.Lanes(); got > 2*n {
		t.Errorf("%d lanes are known: those that are clean are never forgotten", got)
	}
}

// Who leaves is not found any more, and who comes back is.
func TestForgottenDomainIsFoundAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	gpu := map[string]string{"gpu": "yes"}
	d.join(gpu).Leave(now)
	d.join(nil)
	d.Forget(now.Add(time.Hour))
	if d.Able(d.lane(gpu)) {
		t.Error("a domain that was forgotten can run a lane")
	}
	d.join(gpu)
	if !d.Able(d.lane(gpu)) {
		t.Error("a domain that came back cannot run its lane")
	}
	d.PostLocal(d.lane(gpu), 0, 1)
	if len(d.queued) != 1 {
		t.Errorf("%d claims, want 1", len(d.queued))
	}
}
