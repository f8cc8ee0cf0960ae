package dispatch_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
)

// A claim is made for a few slots more than jobs were announced, and for all that wait where nobody has counted the jobs or there may
// be more of them.
func TestClaimsForWhatIsExpected(t *testing.T) {
	t.Parallel()
	const waiting, most, spare = 100, 80, 8
	for name, c := range map[string]struct {
		happens func(d *desk, l queue.Lane)
		want    int
	}{
		"one is announced":      {func(d *desk, l queue.Lane) { d.announce(l, 1) }, 1 + spare},
		"in several messages":   {func(d *desk, l queue.Lane) { d.announce(l, 5); d.announce(l, 7) }, 12 + spare},
		"more than may be":      {func(d *desk, l queue.Lane) { d.announce(l, 5000) }, most},
		"without a number":      {func(d *desk, l queue.Lane) { d.announce(l, 0) }, most},
		"and then with one":     {func(d *desk, l queue.Lane) { d.announce(l, 0); d.announce(l, 1) }, most},
		"with one, and without": {func(d *desk, l queue.Lane) { d.announce(l, 1); d.announce(l, 0) }, most},
		"posted here":           {func(d *desk, l queue.Lane) { d.PostLocal(l, 1, 1) }, most},
		"announced and posted":  {func(d *desk, l queue.Lane) { d.announce(l, 1); d.PostLocal(l, 1, 1) }, most},
		"found": {func(d *desk, l queue.Lane) {
			d.announce(l, 1)
			d.Found(queue.ReadyLane{Lane: l, From: 1}, d.Mark(), false)
		}, most},
		"left to others for a while": {func(d *desk, l queue.Lane) {
			d.EndTurn(d.PostRemote(l, 1, 2, dispatch.Source{Process: uuid.UUID{9}}, true))
		}, 2 + spare},
		"taken by others, and more": {func(d *desk, l queue.Lane) {
			s := dispatch.Source{Process: uuid.UUID{9}}
			d.PostRemote(l, 1, 50, s, true)
			d.Taken(l, s)
			d.announce(l, 3)
		}, 3 + spare},
		"another lane too": {func(d *desk, l queue.Lane) {
			d.announce(l, 1)
			l.Priority++
			d.announce(l, 2)
		}, 3 + spare},
		"the claim before found all": {func(d *desk, l queue.Lane) {
			d.announce(l, 20)
			r := d.mustBegin()
			d.announce(l, 3)
			d.Finish(r, queue.Claimed{Jobs: d.jobs(l, r, 20)})
		}, 3 + spare},
		"it came back full": {func(d *desk, l queue.Lane) {
			d.announce(l, 1)
			r := d.mustBegin()
			d.Finish(r, queue.Claimed{Jobs: d.jobs(l, r, 1+spare)})
		}, most},
		"it failed": {func(d *desk, l queue.Lane) {
			d.announce(l, 1)
			r := d.mustBegin()
			d.Void(r)
			d.Retry(r.Domain())
		}, most},
		"a limit may have been lifted": {func(d *desk, l queue.Lane) {
			d.announce(l, 1)
			r := d.mustBegin()
			d.Freed(org)
			d.Finish(r, queue.Claimed{Limited: true})
		}, most},
		"a limit was lifted": {func(d *desk, l queue.Lane) {
			d.announce(l, 1)
			d.Finish(d.mustBegin(), queue.Claimed{Limited: true})
			d.Freed(org)
		}, most},
		"another process's claims emptied it": {func(d *desk, l queue.Lane) {
			d.announce(l, 30)
			r := d.mustBegin()
			d.announce(l, 30)
			d.Finish(r, queue.Claimed{})
			d.Emptied(nil, d.Mark())
			d.announce(l, 1)
		}, 1 + spare},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			d.most = most
			for range waiting {
				d.join(x)
			}
			c.happens(d, d.lane(x))
			if got := len(d.mustBegin().Workers()); got != c.want {
				t.Errorf("a claim for %d slots, want %d", got, c.want)
			}
		})
	}
}

func (d *desk) announce(l queue.Lane, jobs int) {
	d.PostRemote(l, 1, jobs, dispatch.Source{Process: uuid.UUID{9}}, false)
}

// jobs are n of a lane for the first that a claim was made for.
func (d *desk) jobs(l queue.Lane, r *dispatch.Round, n int) []queue.Job {
	jobs := make([]queue.Job, n)
	for i := range jobs {
		jobs[i] = job(l, r.Workers()[i], int64(i+1))
	}
	return jobs
}
