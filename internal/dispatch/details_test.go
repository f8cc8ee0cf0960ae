package dispatch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
)

func (d *desk) kind(i int) queue.Lane { return d.lane(map[string]string{"kind": fmt.Sprint(i)}) }

func (d *desk) learn(from, to int) {
	for i := from; i < to; i++ {
		d.Able(d.kind(i))
	}
}

// The lane that would be one too many makes the clean ones be forgotten, and none that anything is known of.
func TestForgetsCleanLanesOnly(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.join(nil)
	d.PostLocal(d.lane(nil), 1, 1) // in a claim
	r := d.mustBegin()
	d.PostLocal(d.kind(-1), 1, 1) // dirty
	d.learn(0, 4094)
	if n := d.Lanes(); n != 4096 {
		t.Fatalf("%d lanes, want 4096", n)
	}
	d.learn(4094, 4095)
	if n := d.Lanes(); n != 3 {
		t.Errorf("%d lanes are left, want the claimed one, the dirty one and the new one", n)
	}
	if _, known := d.Lane(org, d.lane(nil).Digest()); !known {
		t.Error("the lane of a claim was forgotten")
	}
	if _, known := d.Lane(org, d.kind(0).Digest()); known {
		t.Error("a clean lane is still known")
	}
	d.Finish(r, queue.Claimed{Limited: true})
	d.learn(0, 4096)
	if !d.Limited(d.lane(nil)) {
		t.Error("the lane that a limit stops was forgotten")
	}
	w.Leave(now)
}

// What was left to a claim that is under way is made known when this process ends.
func TestCloseAnnouncesWhatAClaimWasToGet(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.join(nil)
	l := d.lane(nil)
	d.PostLocal(l, 1, 1)
	d.mustBegin()
	d.Close(now)
	if d.announced[l] != 1 {
		t.Errorf("%d jobs announced, want 1", d.announced[l])
	}
	d.join(nil)
	d.PostLocal(l, 2, 1)
	if len(d.queued) != 0 || d.announced[l] != 2 {
		t.Errorf("after the end %d claims, %d jobs announced", len(d.queued), d.announced[l])
	}
}

// A domain whose claim is under way is not forgotten, though nobody waits in it any more.
func TestForgetLeavesClaims(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.join(nil)
	d.PostLocal(d.lane(nil), 1, 1)
	r := d.mustBegin()
	w.Leave(now)
	d.Forget(now.Add(time.Hour))
	if !d.Knows(org) {
		t.Error("forgotten in the middle of a claim")
	}
	d.Finish(r, queue.Claimed{})
	d.Forget(now.Add(time.Hour))
	if d.Knows(org) {
		t.Error("never forgotten")
	}
}

// Where the first of a line leaves, the line waits for as long as the next one has.
func TestFirstInLineLeaves(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	x, y := map[string]string{"x": "1"}, map[string]string{"x": "1", "y": "1"}
	z := map[string]string{"x": "1", "z": "1"}
	d.Able(d.lane(x))
	first := d.join(y)
	second := d.join(z)
	d.join(y)
	first.Leave(now)
	d.PostLocal(d.lane(x), 1, 1)
	if r := d.mustBegin(); r.Domain() != second.Domain() {
		t.Error("a domain was chosen for a worker that has left")
	}
}

func TestTakenAnswers(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.join(nil)
	s := dispatch.Source{Process: uuid.UUID{9}, Seq: 3}
	if d.Taken(d.kind(1), s) {
		t.Error("an unknown lane was left to somebody")
	}
	d.PostRemote(d.lane(nil), 1, 0, s, true)
	if !d.Taken(d.lane(nil), s) {
		t.Error("what was left to others and is taken is news")
	}
	if d.Taken(d.lane(nil), s) {
		t.Error("the same twice is no news")
	}
}

// A listing without a lane that a claim covers says nothing about it: the claim does.
func TestListingBesideAClaim(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.join(nil)
	l := d.lane(nil)
	d.PostLocal(l, 1, 2)
	r := d.mustBegin()
	d.Listed([]uuid.UUID{org}, d.Mark(), nil, false)
	d.Finish(r, queue.Claimed{Jobs: []queue.Job{job(l, w.Worker, 1)}})
	d.join(nil)
	if len(d.queued) != 1 {
		t.Error("the claim got as much as it asked for, and nobody asks for more")
	}
}

// An old listing does not turn a lane into one that a limit stops.
func TestOldListingOfAFreeLane(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.join(map[string]string{"other": "1"})
	mark := d.Mark()
	l := d.kind(1)
	d.PostLocal(l, 1, 1)
	d.Listed([]uuid.UUID{org}, mark, nil, false)
	if d.Limited(l) {
		t.Error("a limit stops the lane")
	}
}

func TestBeginBoundsTheClaim(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for range 3 {
		d.join(nil)
	}
	d.PostLocal(d.lane(nil), 1, 3)
	domain := d.queued[0]
	if n := len(d.Begin(domain, 2).Workers()); n != 2 {
		t.Errorf("a claim for %d workers, want 2", n)
	}
}

// Two claims at a time never cover the same lane.
func TestOneClaimForEachLane(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.join(map[string]string{"x": "1", "y": "1"})
	d.join(map[string]string{"x": "1", "z": "1"})
	shared, own := d.lane(map[string]string{"x": "1"}), d.lane(map[string]string{"z": "1"})
	d.PostLocal(shared, 1, 1)
	first := d.mustBegin()
	d.PostLocal(shared, 2, 1)
	d.PostLocal(own, 1, 1)
	if first.Domain() == d.queued[0] {
		t.Fatal("the first domain is queued again")
	}
	for _, p := range d.mustBegin().Probes() {
		if p.Lane != own {
			t.Errorf("the second claim covers %+v too", p.Lane)
		}
	}
}

// A success ends the counting of failures, and a lane of which a claim got nothing keeps what is known of its first job.
func TestFinishKeepsTheOthers(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	tags := map[string]string{"kind": "1", "x": "1"}
	w := d.join(tags)
	a, b := d.lane(map[string]string{"x": "1"}), d.kind(1)
	since := now.Add(-time.Hour)
	d.Listed(nil, d.Mark(), []queue.ReadyLane{{Lane: a, Count: 2, From: 1, Oldest: since}, {Lane: b, Count: 2, From: 1, Oldest: since}}, true)
	failed := d.mustBegin()
	d.Void(failed)
	d.Retry(failed.Domain())
	r := d.mustBegin()
	d.Finish(r, queue.Claimed{Jobs: []queue.Job{job(a, w.Worker, 1)}})
	if n := r.Domain().Failures(); n != 0 {
		t.Errorf("%d failures after a success", n)
	}
	d.join(tags)
	probes := d.mustBegin().Probes()
	if len(probes) != 2 {
		t.Errorf("%d lanes in the next claim, want both", len(probes))
	}
	for _, p := range probes {
		if p.Lane == b && !p.Oldest.Equal(since) {
			t.Errorf("the first job of the other lane is of %s, want %s", p.Oldest, since)
		}
	}
}

func TestNobodyOfTheOrganizationIsHere(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	l := d.lane(nil)
	d.PostLocal(l, 1, 2)
	if d.announced[l] != 2 {
		t.Errorf("%d jobs announced that nobody here can run, want 2", d.announced[l])
	}
	domain, err := queue.NewDomain(org, []string{"build"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !d.Room(domain) {
		t.Error("no room for the first worker")
	}
}

// What is left to others is claimed by nobody here until their turn is over, and then from its number on.
func TestTurnOfOthers(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	l := d.lane(nil)
	w := d.join(nil)
	d.PostLocal(l, 7, 1)
	d.Finish(d.mustBegin(), queue.Claimed{Jobs: []queue.Job{job(l, w.Worker, 7)}})
	w = d.join(nil)
	d.Finish(d.mustBegin(), queue.Claimed{}) // drained
	turn := d.PostRemote(l, 3, 0, dispatch.Source{Process: uuid.UUID{9}, Seq: 1}, true)
	w.Leave(now)
	d.join(nil)
	if len(d.queued) != 0 {
		t.Fatal("claimed in the turn of others")
	}
	d.EndTurn(turn)
	if from := d.mustBegin().Probes()[0].From; from > 3 {
		t.Errorf("the claim begins at %d, want 3", from)
	}
}

// A listing without a lane that a limit has stopped says that nothing is there any more, and one with a clean lane is how it
// was found.
func TestListingsOfQuietLanes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	l := d.lane(nil)
	w := d.join(nil)
	d.PostLocal(l, 1, 1)
	d.Finish(d.mustBegin(), queue.Claimed{Limited: true})
	d.Listed([]uuid.UUID{org}, d.Mark(), nil, false)
	if d.Limited(l) {
		t.Error("a limit stops an empty lane")
	}
	d.Listed([]uuid.UUID{org}, d.Mark(), []queue.ReadyLane{{Lane: l, Count: 1, From: 1}}, false)
	if cause := d.mustBegin().Cause(); cause != dispatch.Poll {
		t.Errorf("found by %s, want poll", cause)
	}
	w.Leave(now)
	clear(d.announced)
	d.Listed([]uuid.UUID{org}, d.Mark(), []queue.ReadyLane{{Lane: d.kind(1), Count: 1, From: 1}}, false)
	if len(d.announced) != 0 {
		t.Errorf("others are told of what nobody posted here: %v", d.announced)
	}
}
