package dispatch_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
)

func host(i int) map[string]string { return map[string]string{"host": fmt.Sprint(i)} }

// Of the domains that nobody is in any more, those left last are kept for whoever comes back; busy ones do not count.
func TestQuietDomainsAreTrimmed(t *testing.T) {
	t.Parallel()
	const kept = 32
	d := newDesk(t)
	for i := range 3 {
		d.join(host(1000 + i)) // stay
	}
	working := d.join(host(2000))
	working.Domain().Started()
	working.Leave(now)
	for i := range 50 {
		w := d.join(host(i))
		w.Leave(now.Add(time.Duration(50-i) * time.Second)) // the first are left last
	}
	var left []string
	for _, domain := range d.Domains() {
		left = append(left, domain.Tags.Map()["host"])
	}
	if len(left) != 3+1+kept || !slices.Contains(left, "0") || !slices.Contains(left, "1002") || !slices.Contains(left, "2000") {
		t.Errorf("%d domains are left: %v", len(left), left)
	}
	working.Domain().Ended(now.Add(time.Hour))
	if n := len(d.Domains()); n != 3+kept {
		t.Errorf("%d domains after the last job ended", n)
	}
	if keys := d.Domains(); !slices.IsSortedFunc(keys, func(a, b *dispatch.Domain) int {
		return cmp.Compare(a.Key(), b.Key())
	}) {
		t.Error("not sorted")
	}
}

// A worker of a new kind finds no room beside the most that there are; one of a known kind does.
func TestRoom(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	domain := func(i int) queue.Domain {
		q, err := queue.NewDomain(org, []string{"build"}, host(i))
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	for i := range dispatch.MaxDomains {
		if !d.Room(domain(i)) {
			t.Fatalf("no room for kind %d", i)
		}
		d.join(host(i))
	}
	if d.Room(domain(-1)) || !d.Room(domain(0)) {
		t.Errorf("room for a new kind: %v, for a known one: %v", d.Room(domain(-1)), d.Room(domain(0)))
	}
}

// Secrets come back with the jobs, each with its own, in whatever order the jobs are, and though some did not come.
func TestSecretsAreDisclosed(t *testing.T) {
	t.Parallel()
	for _, got := range [][]int{{0, 1, 2}, {2, 1, 0}, {2}, {1, 2}} {
		d := newDesk(t)
		waiters := []*dispatch.Waiter{d.join(x), d.join(x), d.join(x)}
		l := d.lane(x)
		d.PostLocal(l, 1, 3)
		r := d.mustBegin()
		var jobs []queue.Job
		for _, i := range got {
			j := job(l, waiters[i].Worker, int64(i))
			j.SecretHash = r.Secrets()[i]
			jobs = append(jobs, j)
		}
		awards, _, _ := d.Finish(r, queue.Claimed{Jobs: jobs})
		if len(awards) != len(got) {
			t.Fatalf("%v: %d awards", got, len(awards))
		}
		for _, a := range awards {
			if a.Job.Secret.Hash() != a.Job.SecretHash {
				t.Errorf("%v: a job comes without its secret", got)
			}
		}
	}
}

// What a claim took raises the bound of its lane, unless a limit passed something over, or something came below it meanwhile.
func TestBoundsOfTheNextClaim(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limited bool
		during  int64
		want    int64
	}{"taken": {false, 0, 7}, "limited": {true, 0, 5}, "below": {false, 3, 3}, "above": {false, 9, 7}} {
		d := newDesk(t)
		first, second := d.join(x), d.join(x)
		l := d.lane(x)
		d.Found(queue.ReadyLane{Lane: l, From: 5, Oldest: now.Add(-time.Hour), Count: 2}, d.Mark(), false)
		r := d.mustBegin()
		if p := r.Probes()[0]; p.From != 5 || !p.Oldest.Equal(now.Add(-time.Hour)) {
			t.Errorf("%s: probe %+v", name, p)
		}
		if c.during > 0 {
			d.PostLocal(l, c.during, 1)
		}
		d.Finish(r, queue.Claimed{Jobs: []queue.Job{job(l, first.Worker, 6), job(l, second.Worker, 7)}, Limited: c.limited})
		d.join(x)
		d.PostLocal(l, math.MaxInt64, 1)
		r = d.mustBegin()
		if p := r.Probes()[0]; p.From != c.want || !c.limited && !p.Oldest.Equal(now) {
			t.Errorf("%s: probe %+v, want from %d", name, p, c.want)
		}
	}
}

// A lane that was drained is as new: nothing of it is left to be announced, and its oldest job is not known.
func TestDrainedLaneIsAsNew(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.join(x)
	l := d.lane(x)
	d.PostLocal(l, 1, 3)
	r := d.mustBegin()
	d.Finish(r, queue.Claimed{})
	w.Leave(now)
	d.PostLocal(l, 2, 1)
	if d.announced[l] != 1 {
		t.Errorf("%d jobs announced, want the last one", d.announced[l])
	}
}

// A lane is left to another process for the message that says so, and what ends the turn is that message.
func TestTurnIsOfItsMessage(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.join(x)
	l, source := d.lane(x), dispatch.Source{Process: uuid.UUID{5}, Seq: 6}
	turn := d.PostRemote(l, 1, 0, source, true)
	if !turn.Theirs() || turn.Lane() != l || turn.Source() != source || len(d.queued) != 0 {
		t.Fatalf("turn %+v, %d queued", turn, len(d.queued))
	}
	d.EndTurn(turn)
	d.EndTurn(turn)
	r := d.mustBegin()
	_, _, drained := d.Finish(r, queue.Claimed{})
	if len(drained) != 1 || drained[0].Source != source || drained[0].Cause != dispatch.Notify {
		t.Errorf("drained %+v", drained)
	}
	if d.Taken(l, source) {
		t.Error("taken by somebody else, after it was drained here")
	}
	if again := d.PostRemote(l, 1, 0, source, false); again.Theirs() {
		t.Error("left to others although it is not to be")
	}
}

// A listing of some organizations says nothing about others, and one of all says it of each.
func TestListedOrganizations(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		listed []uuid.UUID
		dirty  bool
	}{"this": {[]uuid.UUID{org}, false}, "all": {nil, false}, "another": {[]uuid.UUID{{9}}, true}, "none": {[]uuid.UUID{}, true}} {
		d := newDesk(t)
		d.join(xy) // not able to run what is x and z
		xz := d.lane(map[string]string{"x": "1", "z": "1"})
		d.PostLocal(xz, 1, 1)
		d.Listed(c.listed, d.Mark(), nil, false)
		d.join(map[string]string{"x": "1", "z": "1"})
		if dirty := len(d.queued) == 1; dirty != c.dirty {
			t.Errorf("%s: claims %v", name, dirty)
		}
	}
}

// One claim names as many lanes as fit, those of the highest priority; the others are next.
func TestMoreLanesThanOneClaimNames(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.join(x)
	w.Leave(now)
	for i := range 100 {
		l := d.lane(x)
		l.Priority = int16(i)
		d.PostLocal(l, 1, 1)
	}
	d.join(x)
	d.queued = d.queued[:1]
	r := d.mustBegin()
	probes := r.Probes()
	if len(probes) != 64 || probes[0].Lane.Priority != 99 || probes[63].Lane.Priority != 36 {
		t.Errorf("%d probes, from %d", len(probes), probes[0].Lane.Priority)
	}
	d.Finish(r, queue.Claimed{})
	if r = d.mustBegin(); len(r.Probes()) != 36 {
		t.Errorf("%d probes are next", len(r.Probes()))
	}
}

// A claim that has certainly got nothing leaves nothing to settle.
func TestVoid(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.join(x)
	d.PostLocal(d.lane(x), 1, 1)
	r := d.mustBegin()
	d.Fail(r)
	if r.Domain().Unsettled() != r {
		t.Error("a claim without an answer is not to be settled")
	}
	d.Void(r)
	if r.Domain().Unsettled() != nil {
		t.Error("a claim that has got nothing is to be settled")
	}
}

// What is posted to a lane that a look has found counts as posted, and a look at what was posted changes nothing of that.
func TestTheFastestWayCounts(t *testing.T) {
	t.Parallel()
	listed := func(d *desk, l queue.Lane) { d.Found(queue.ReadyLane{Lane: l, From: 1, Count: 1}, d.Mark(), false) }
	posted := func(d *desk, l queue.Lane) { d.PostLocal(l, 1, 1) }
	for name, c := range map[string]struct {
		ways [2]func(*desk, queue.Lane)
		want dispatch.Cause
	}{
		"listed, then posted": {[2]func(*desk, queue.Lane){listed, posted}, dispatch.Handoff},
		"posted, then listed": {[2]func(*desk, queue.Lane){posted, listed}, dispatch.Handoff},
		"listed twice":        {[2]func(*desk, queue.Lane){listed, listed}, dispatch.Poll},
	} {
		d := newDesk(t)
		d.join(x)
		for _, way := range c.ways {
			way(d, d.lane(x))
		}
		if got := d.mustBegin().Cause(); got != c.want {
			t.Errorf("%s: found by %s, want %s", name, got, c.want)
		}
	}
}

// A listing that began before a posting lowers the bound of the lane to no less than the lower of the two.
func TestBoundOfAListingBesideAPosting(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ posted, listed, want int64 }{
		"posted below": {3, 5, 3}, "listed below": {5, 3, 3},
	} {
		d := newDesk(t)
		d.join(x)
		d.Found(queue.ReadyLane{Lane: d.lane(x), From: 9, Count: 1}, d.Mark(), false)
		mark := d.Mark()
		d.PostLocal(d.lane(x), c.posted, 1)
		d.Found(queue.ReadyLane{Lane: d.lane(x), From: c.listed, Count: 1}, mark, false)
		if p := d.mustBegin().Probes(); len(p) != 1 || p[0].From != c.want {
			t.Errorf("%s: probes %+v, want from %d", name, p, c.want)
		}
	}
}
