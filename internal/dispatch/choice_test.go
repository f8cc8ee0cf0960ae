package dispatch_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
)

var xz = map[string]string{"x": "1", "z": "1"}

// Of domains that can run as many lanes, the one whose first worker has waited longest goes first; one whose claims fail goes
// behind one that does not.
func TestWhoGoesFirst(t *testing.T) {
	t.Parallel()
	for _, order := range [][2]map[string]string{{xy, xz}, {xz, xy}} {
		d := newDesk(t)
		first := d.join(order[0])
		d.join(order[1])
		d.PostLocal(d.lane(x), 1, 1)
		if len(d.queued) != 1 || d.queued[0] != first.Domain() {
			t.Error("a worker that came later goes first")
		}
	}
	d := newDesk(t)
	failing := d.join(xy)
	d.PostLocal(d.lane(x), 1, 1)
	r := d.mustBegin()
	d.Void(r)
	d.Retry(failing.Domain())
	d.Begin(failing.Domain(), 10)
	d.queued = nil
	other := d.join(xz)
	if len(d.queued) != 0 {
		t.Fatal("a lane with a claim in flight is claimed again")
	}
	// The claim comes up empty while more is posted: the one that failed lately is free again, and so is the other.
	second := newDesk(t)
	a, b := second.join(xy), second.join(xz)
	second.PostLocal(second.lane(x), 1, 1)
	round := second.mustBegin()
	second.Void(round)
	if len(second.queued) != 1 || second.queued[0] != b.Domain() {
		t.Errorf("after a failure %d domains are queued, want the other one", len(second.queued))
	}
	if a.Domain().Failures() != 1 || b.Domain().Failures() != 0 {
		t.Errorf("%d and %d failures", a.Domain().Failures(), b.Domain().Failures())
	}
	_ = other
}

// Each claim discloses as many secrets as it has workers, all different.
func TestSecretsOfARound(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.join(x)
	d.join(x)
	d.PostLocal(d.lane(x), 1, 2)
	r := d.mustBegin()
	secrets := r.Secrets()
	if len(secrets) != len(r.Workers()) || len(secrets) != 2 || secrets[0] == secrets[1] || secrets[0] == (queue.SecretHash{}) {
		t.Errorf("secrets %v for %d workers", secrets, len(r.Workers()))
	}
}

// A claim that found too little is over, though a running job ended meanwhile: only one that a limit stopped goes on.
func TestFreedDuringAClaim(t *testing.T) {
	t.Parallel()
	for _, limited := range []bool{false, true} {
		d := newDesk(t)
		d.join(x)
		d.PostLocal(d.lane(x), 1, 1)
		r := d.mustBegin()
		if !d.Freed(org) {
			t.Error("a worker waits, and Freed says that none does")
		}
		_, _, drained := d.Finish(r, queue.Claimed{Limited: limited})
		if again := len(d.queued) == 1; again != limited || (len(drained) == 0) != limited {
			t.Errorf("limited %v: claims again %v, %d drained", limited, again, len(drained))
		}
	}
	d := newDesk(t)
	if d.Freed(org) {
		t.Error("somebody of an unknown organization waits")
	}
	d.join(x).Leave(now)
	if d.Freed(org) {
		t.Error("a worker that left waits")
	}
}

// What a claim got whose answer was lost goes to those whom it was claimed for, the first as well as others.
func TestSettleGivesToTheRightOnes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	first, second, third := d.join(x), d.join(x), d.join(x)
	l := d.lane(x)
	d.PostLocal(l, 1, 3)
	r := d.mustBegin()
	d.Fail(r)
	second.Leave(now)
	d.SettleFailed(r.Domain())
	if r.Domain().Failures() != 2 {
		t.Errorf("%d failures, want 2", r.Domain().Failures())
	}
	awards, rest := d.Settle(r, []queue.Job{job(l, second.Worker, 2), job(l, first.Worker, 1)})
	if len(rest) != 0 || len(awards) != 2 {
		t.Fatalf("awards %+v, rest %+v", awards, rest)
	}
	for _, a := range awards {
		if a.Waiter == second || a.Moved != (a.Waiter == third) {
			t.Errorf("award of %d moved %v", a.Job.Order, a.Moved)
		}
	}
}

// A turn that is over, or was replaced by a later one, changes nothing when its time has come.
func TestOldTurn(t *testing.T) {
	t.Parallel()
	source := func(n uint64) dispatch.Source { return dispatch.Source{Process: uuid.UUID{9}, Seq: n} }
	d := newDesk(t)
	d.join(x)
	l := d.lane(x)
	first := d.PostRemote(l, 1, 0, source(1), true)
	if !first.Theirs() || len(d.queued) != 0 {
		t.Fatal("the lane is not left to the other")
	}
	d.Taken(l, source(1))
	second := d.PostRemote(l, 2, 0, source(2), true)
	d.EndTurn(first)
	if len(d.queued) != 0 {
		t.Error("the end of an old turn ends the new one")
	}
	d.Taken(l, source(1))
	d.EndTurn(second)
	if len(d.queued) != 1 {
		t.Error("a turn that was not used is not ours")
	}
	d.Begin(d.queued[0], 10)
	d.EndTurn(second)
	d.EndTurn(dispatch.Turn{})
	if len(d.queued) != 1 {
		t.Error("a turn ends twice")
	}
	unknown := d.lane(xy)
	unknown.Organization = uuid.UUID{7}
	d.Taken(unknown, source(1))
	if d.PostRemote(unknown, 1, 0, source(3), true).Theirs() || d.Knows(unknown.Organization) {
		t.Error("a lane of an organization for which nobody waits is remembered")
	}
}

// Taken does not clear what is dirty for another reason.
func TestTakenOfWhatIsOurs(t *testing.T) {
	t.Parallel()
	source := dispatch.Source{Process: uuid.UUID{9}, Seq: 1}
	d := newDesk(t)
	l := d.lane(x)
	w := d.join(x)
	w.Leave(now)
	d.PostRemote(l, 1, 0, source, false) // ours, and nobody waits
	d.Taken(l, source)
	d.join(x)
	if len(d.queued) != 1 {
		t.Error("the lane was cleared by a message about a turn that there was not")
	}
}

// A dirty lane is not left to others.
func TestDirtyLaneIsOurs(t *testing.T) {
	t.Parallel()
	source := dispatch.Source{Process: uuid.UUID{9}, Seq: 1}
	d := newDesk(t)
	l := d.lane(x)
	d.join(x)
	d.PostLocal(l, 1, 1)
	if d.PostRemote(l, 1, 0, source, true).Theirs() {
		t.Error("a lane that is about to be claimed here is left to another")
	}
	other := d.lane(xy)
	if d.PostRemote(other, 1, 0, source, false).Theirs() {
		t.Error("a lane is left to another that was not to be")
	}
}

// A listing of all lanes looks again at what a limit stops, and takes back what was left to others.
func TestListingOfAll(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.join(x)
	l := d.lane(x)
	d.PostLocal(l, 1, 1)
	d.Finish(d.mustBegin(), queue.Claimed{Limited: true})
	ready := []queue.ReadyLane{{Lane: l, Count: 1, From: 1}}
	d.Listed(nil, d.Mark(), ready, false)
	if !d.Limited(l) || len(d.queued) != 0 {
		t.Error("a look ends what a limit stops")
	}
	d.Listed(nil, d.Mark(), ready, true)
	if d.Limited(l) || len(d.queued) != 1 {
		t.Error("the backup does not look again at what a limit stops")
	}
	d = newDesk(t)
	d.join(x)
	d.PostRemote(l, 1, 0, dispatch.Source{Process: uuid.UUID{9}}, true)
	d.Listed(nil, d.Mark(), ready, true)
	if len(d.queued) != 1 {
		t.Error("the backup leaves to others what they have not taken")
	}
}

// A domain is kept until its last worker has left long enough ago.
func TestForgetCountsFromTheLastLeave(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.join(x).Leave(now)
	if d.Forget(now); !d.Knows(org) {
		t.Error("forgotten in the instant in which its worker left")
	}
	if d.Forget(now.Add(1)); d.Knows(org) {
		t.Error("kept")
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.join(x)
	d.join(x)
	d.join(xy)
	w.Domain().Started()
	w.Domain().Started()
	w.Domain().Ended(now.Add(time.Second))
	if w.Domain().Waiting() != 2 || w.Domain().Running() != 1 || w.Domain().Slots() != 4 {
		t.Errorf("%d wait, %d run, %d slots", w.Domain().Waiting(), w.Domain().Running(), w.Domain().Slots())
	}
	n := 0
	for range d.DomainsOf(org) {
		n++
	}
	for range d.DomainsOf(uuid.UUID{7}) {
		t.Error("an unknown organization has domains")
	}
	if n != 2 {
		t.Errorf("%d domains", n)
	}
	for _, id := range []byte{9, 0, 5} {
		domain, _ := queue.NewDomain(uuid.UUID{id}, []string{"build"}, nil)
		d.Join(&dispatch.Waiter{}, domain)
	}
	if got := d.Organizations(); !slices.IsSortedFunc(got, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }) || len(got) != 4 {
		t.Errorf("organizations %v", got)
	}
	if _, known := d.Lane(uuid.UUID{77}, 1); known {
		t.Error("a lane of an unknown organization is known")
	}
	for _, l := range []queue.Lane{{Organization: uuid.UUID{7}, Type: "build"}, d.lane(x)} {
		d.Found(queue.ReadyLane{Lane: l}, d.Mark(), false)
	}
	if d.Lanes() != 1 {
		t.Errorf("%d lanes, want that of the organization that is known", d.Lanes())
	}
}

// Whoever is in the middle of the line leaves without a change of who is first.
func TestLeaveFromTheMiddle(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	first, middle, last := d.join(x), d.join(x), d.join(x)
	middle.Leave(now)
	middle.Leave(now)
	d.PostLocal(d.lane(x), 1, 1)
	if got := d.mustBegin().Workers(); len(got) != 2 || got[0] != first.Worker || got[1] != last.Worker {
		t.Errorf("claims for %v", got)
	}
	d = newDesk(t)
	first, second := d.join(xy), d.join(xy)
	other := d.join(xz)
	first.Leave(now)
	d.PostLocal(d.lane(x), 1, 1)
	if len(d.queued) != 1 || d.queued[0] != second.Domain() {
		t.Error("the second of a line has waited longer than the first of another")
	}
	_ = other
}
