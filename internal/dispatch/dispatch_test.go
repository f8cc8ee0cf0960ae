package dispatch_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
)

var (
	org = uuid.UUID{1}
	now = time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
)

// desk is a dispatcher and what its hooks said.
type desk struct {
	// most is how many jobs a claim may be of.
	most int
	t    *testing.T
	*dispatch.Dispatcher
	queued    []*dispatch.Domain
	announced map[queue.Lane]int
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, most: 10, announced: make(map[queue.Lane]int)}
	d.Dispatcher = dispatch.New(dispatch.Hooks{
		Claim:    func(domain *dispatch.Domain) { d.queued = append(d.queued, domain) },
		Announce: func(l queue.Lane, _ int64, jobs int) { d.announced[l] += jobs },
	})
	return d
}

func tagSet(t *testing.T, tags map[string]string) queue.TagSet {
	t.Helper()
	set, err := queue.NewTagSet(tags)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func (d *desk) lane(tags map[string]string) queue.Lane {
	return queue.Lane{Organization: org, Type: "build", Tags: tagSet(d.t, tags)}
}

func (d *desk) join(tags map[string]string) *dispatch.Waiter {
	d.t.Helper()
	domain, err := queue.NewDomain(org, []string{"build"}, tags)
	if err != nil {
		d.t.Fatal(err)
	}
	w := &dispatch.Waiter{Worker: uuid.New()}
	d.Join(w, domain)
	return w
}

// begin begins the claim of the only domain that is queued.
func (d *desk) begin() *dispatch.Round {
	d.t.Helper()
	if len(d.queued) != 1 {
		d.t.Fatalf("%d domains queued, want 1", len(d.queued))
	}
	domain := d.queued[0]
	d.queued = nil
	return d.Begin(domain, d.most)
}

func (d *desk) mustBegin() *dispatch.Round {
	d.t.Helper()
	r := d.begin()
	if r == nil {
		d.t.Fatal("nothing to claim")
	}
	return r
}

func job(l queue.Lane, worker uuid.UUID, order int64) queue.Job {
	return queue.Job{
		ID: uuid.New(), Organization: l.Organization, Type: l.Type, Tags: l.Tags, Priority: l.Priority,
		Worker: worker, Order: order, CreatedAt: now,
	}
}

var (
	x  = map[string]string{"x": "1"}
	xy = map[string]string{"x": "1", "y": "1"}
)

func TestOnePostingOneClaim(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.join(x)
	l := d.lane(x)
	d.PostLocal(l, 7, 1)
	d.PostLocal(l, 8, 1)
	r := d.mustBegin()
	probes := r.Probes()
	if len(probes) != 1 || probes[0].Lane != l || probes[0].From > 7 || r.Cause() != dispatch.Handoff {
		t.Fatalf("probes %+v, cause %s", probes, r.Cause())
	}
	if !slices.Equal(r.Workers(), []uuid.UUID{w.Worker}) {
		t.Fatalf("claims for %v", r.Workers())
	}
	won := job(l, w.Worker, 7)
	awards, rest, drained := d.Finish(r, queue.Claimed{Jobs: []queue.Job{won}})
	if len(awards) != 1 || awards[0].Waiter != w || awards[0].Job.ID != won.ID || awards[0].Moved || len(rest) != 0 {
		t.Errorf("awards %+v, rest %+v", awards, rest)
	}
	if len(drained) != 0 {
		t.Error("a claim that got all it asked for says nothing about what is left")
	}
	if len(d.queued) != 0 || d.announced[l] != 1 {
		t.Errorf("%d queued, %d announced: the second job is for others", len(d.queued), d.announced[l])
	}
}

// What was posted while a claim was in flight stays marked, whatever the claim found.
func TestClaimClearsOnlyWhatItSaw(t *testing.T) {
	t.Parallel()
	for name, during := range map[string]bool{"posted before": false, "posted during the claim": true} {
		d := newDesk(t)
		d.join(x)
		l := d.lane(x)
		d.PostLocal(l, 1, 1)
		r := d.mustBegin()
		if during {
			d.PostLocal(l, 2, 1)
		}
		_, _, drained := d.Finish(r, queue.Claimed{})
		if len(drained) != 1 || (len(d.queued) == 1) != during {
			t.Errorf("%s: %d domains queued after an empty claim", name, len(d.queued))
		}
	}
}

func TestLeaverLosesNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	first, second := d.join(x), d.join(x)
	l := d.lane(x)
	d.PostLocal(l, 1, 1)
	r := d.mustBegin()
	first.Leave(now)
	first.Leave(now)
	awards, rest, _ := d.Finish(r, queue.Claimed{Jobs: []queue.Job{job(l, first.Worker, 1)}})
	if len(awards) != 1 || awards[0].Waiter != second || !awards[0].Moved || len(rest) != 0 {
		t.Errorf("the next in line gets the job: %+v, rest %+v", awards, rest)
	}

	third := d.join(x)
	d.PostLocal(l, 2, 1)
	r = d.mustBegin()
	third.Leave(now)
	awards, rest, _ = d.Finish(r, queue.Claimed{Jobs: []queue.Job{job(l, third.Worker, 2)}})
	if len(awards) != 0 || len(rest) != 1 {
		t.Errorf("nobody is left: %+v, rest %+v", awards, rest)
	}
}

func TestChosenDomainIsEmptyByItsTurn(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	special, versatile := d.join(x), d.join(xy)
	d.PostLocal(d.lane(map[string]string{"y": "1"}), 1, 1) // so that the versatile one knows two lanes
	d.Finish(d.mustBegin(), queue.Claimed{})
	d.PostLocal(d.lane(x), 2, 1)
	special.Leave(now)
	if r := d.begin(); r != nil {
		t.Fatalf("claims for %v, who has left", r.Workers())
	}
	if r := d.mustBegin(); r.Workers()[0] != versatile.Worker {
		t.Errorf("the other domain was not asked")
	}
}

// While a domain pauses after a failure, others claim its lanes; then it settles before it claims again.
func TestFailureLeavesTheLanesToOthers(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	first := d.join(x)
	l := d.lane(x)
	d.PostLocal(l, 1, 1)
	failed := d.mustBegin()
	other := d.join(xy)
	d.Fail(failed)
	if r := d.mustBegin(); r.Workers()[0] != other.Worker {
		t.Error("the lane is not left to the other domain")
	}
	domain := first.Domain()
	if domain.Failures() != 1 || domain.Unsettled() != failed {
		t.Fatalf("%d failures, unsettled %v", domain.Failures(), domain.Unsettled())
	}
	d.Retry(domain)
	d.SettleFailed(domain)
	d.Retry(domain)
	awards, rest := d.Settle(failed, []queue.Job{job(l, first.Worker, 1)})
	if len(awards) != 1 || awards[0].Waiter != first || len(rest) != 0 || domain.Unsettled() != nil {
		t.Errorf("settled: %+v, rest %+v", awards, rest)
	}
}

func TestTurns(t *testing.T) {
	t.Parallel()
	source := dispatch.Source{Process: uuid.New(), Seq: 4}
	left := func() (*desk, queue.Lane, dispatch.Turn) {
		d := newDesk(t)
		d.join(x)
		l := d.lane(x)
		turn := d.PostRemote(l, 1, 0, source, true)
		if !turn.Theirs() || len(d.queued) != 0 {
			t.Fatalf("left to another: %v, %d queued", turn.Theirs(), len(d.queued))
		}
		return d, l, turn
	}

	d, _, turn := left()
	d.EndTurn(turn)
	d.EndTurn(turn)
	if r := d.mustBegin(); r.Cause() != dispatch.Notify {
		t.Errorf("cause %s", r.Cause())
	}

	d, l, turn := left()
	d.Taken(l, source)
	d.EndTurn(turn)
	if len(d.queued) != 0 {
		t.Error("claims what another took")
	}

	d, l, turn = left()
	d.Taken(l, dispatch.Source{Process: source.Process, Seq: 3})
	d.EndTurn(turn)
	if len(d.queued) != 1 {
		t.Error("an older message cleared a newer one")
	}

	d, l, turn = left()
	d.PostLocal(l, 2, 1)
	d.EndTurn(turn)
	if len(d.queued) != 1 {
		t.Error("a job posted here waits for another process")
	}
	d.Taken(l, source)
	if d.begin() == nil {
		t.Error("what was posted here was cleared with what another took")
	}

	d, l, _ = left()
	if again := d.PostRemote(l, 2, 0, dispatch.Source{Process: source.Process, Seq: 5}, true); again.Theirs() || len(d.queued) != 1 {
		t.Error("a lane that is dirty already was left to another")
	}
	d = newDesk(t)
	d.join(x)
	d.PostLocal(l, 1, 1)
	d.Finish(d.mustBegin(), queue.Claimed{Limited: true})
	turn = d.PostRemote(l, 2, 0, source, true)
	d.Freed(org)
	d.Taken(l, source) // by a claim that may have met the limit too
	d.EndTurn(turn)
	if len(d.queued) != 1 {
		t.Error("what the end of a limit let through was cleared with what another took")
	}

	if unknown := newDesk(t); unknown.PostRemote(l, 1, 0, source, true).Theirs() {
		t.Error("a lane that nobody here waits for was left to another")
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.join(x)
	l := d.lane(x)
	d.PostLocal(l, 5, 2)
	r := d.mustBegin()
	d.Finish(r, queue.Claimed{Limited: true})
	if !d.Limited(l) || len(d.queued) != 0 {
		t.Fatalf("limited %v, %d queued", d.Limited(l), len(d.queued))
	}
	if waits := d.Freed(org); !waits || d.Limited(l) {
		t.Errorf("freed: somebody waits %v, limited %v", waits, d.Limited(l))
	}
	r = d.mustBegin()
	if from := r.Probes()[0].From; from > 5 {
		t.Errorf("probes from %d: what a limit stopped is passed over", from)
	}
	d.Freed(org) // in the middle of the claim: its answer is old
	if _, _, drained := d.Finish(r, queue.Claimed{Limited: true}); len(drained) != 0 || len(d.queued) != 1 {
		t.Errorf("drained %v, %d queued", drained, len(d.queued))
	}
}

func TestListing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.join(x)
	l, other := d.lane(x), d.lane(nil)
	mark := d.Mark()
	d.PostLocal(l, 3, 1) // overtakes the listing
	d.Listed([]uuid.UUID{org}, mark, nil, false)
	if d.begin() == nil {
		t.Fatal("an old listing cleared a new posting")
	}
	d = newDesk(t)
	d.join(x)
	d.Listed(nil, d.Mark(), []queue.ReadyLane{{Lane: l, Count: 1, From: 3, Oldest: now}, {Lane: other, Count: 9}}, true)
	r := d.mustBegin()
	if p := r.Probes(); len(p) != 1 || p[0] != (dispatch.Probe{Lane: l, From: 3, Oldest: now}) || r.Cause() != dispatch.Poll {
		t.Errorf("probes %+v, cause %s", p, r.Cause())
	}
}

// The bound of a probe never rises above what was posted while a claim or a listing was under way: a job put back into line
// goes before those that were claimed after it.
func TestBoundsFollowWhatIsPutBack(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.join(x)
	d.join(x)
	l := d.lane(x)
	d.PostLocal(l, 5, 1)
	r := d.mustBegin()
	d.PostLocal(l, 1, 1)
	d.Finish(r, queue.Claimed{Jobs: []queue.Job{job(l, w.Worker, 5)}})
	if from := d.mustBegin().Probes()[0].From; from > 1 {
		t.Errorf("after a claim: probes from %d, passing over 1", from)
	}

	d = newDesk(t)
	d.join(x)
	mark := d.Mark()
	d.PostLocal(l, 1, 1)
	d.Listed(nil, mark, []queue.ReadyLane{{Lane: l, Count: 1, From: 5}}, false)
	if from := d.mustBegin().Probes()[0].From; from > 1 {
		t.Errorf("after a listing: probes from %d, passing over 1", from)
	}
}

// A listing that is older than what a limit stopped does not hide it from the end of the limit.
func TestOldListingBesideALimit(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.join(x)
	l := d.lane(x)
	mark := d.Mark() // the listing begins, and finds nothing
	d.PostLocal(l, 1, 1)
	d.Finish(d.mustBegin(), queue.Claimed{Limited: true})
	d.Listed([]uuid.UUID{org}, mark, nil, false)
	d.Freed(org)
	if d.begin() == nil {
		t.Error("the job that the limit stopped is forgotten")
	}
}

// A claim covers a bounded number of lanes; the rest is next, the urgent ones first.
func TestManyLanes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const lanes = 150
	d.join(x)
	hold := d.lane(x)
	d.PostLocal(hold, 1, 1)
	first := d.mustBegin()
	for i := range lanes {
		l := d.lane(x)
		l.Priority = int16(i + 1)
		d.PostLocal(l, int64(i), 1)
	}
	seen := make(map[int16]bool)
	last := int16(lanes + 1)
	for r := first; ; r = d.mustBegin() {
		if r != first {
			for _, p := range r.Probes() {
				if p.Lane.Priority > last || seen[p.Lane.Priority] {
					t.Fatalf("priority %d after %d", p.Lane.Priority, last)
				}
				seen[p.Lane.Priority] = true
			}
			for p := range seen {
				last = min(last, p)
			}
		}
		d.Finish(r, queue.Claimed{})
		if len(d.queued) == 0 {
			break
		}
	}
	if len(seen) != lanes {
		t.Errorf("%d of %d lanes probed", len(seen), lanes)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	a, b := d.join(x), d.join(xy)
	l := d.lane(x)
	d.PostLocal(l, 1, 2)
	waiters := d.Close(now)
	if len(waiters) != 2 || !slices.Contains(waiters, a) || !slices.Contains(waiters, b) {
		t.Errorf("%d waiters returned", len(waiters))
	}
	d.PostLocal(l, 3, 1)
	if d.announced[l] != 3 {
		t.Errorf("%d of 3 jobs announced", d.announced[l])
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	kept, gone := d.join(x), d.join(xy)
	gone.Domain().Started()
	gone.Leave(now)
	forget := func(in time.Duration, want int) {
		t.Helper()
		d.Forget(now.Add(in))
		if n := len(d.Domains()); n != want {
			t.Errorf("%d domains remembered after %s, want %d", n, in, want)
		}
	}
	forget(time.Hour, 2) // a job runs in it
	gone.Domain().Ended(now.Add(2 * time.Hour))
	forget(2*time.Hour, 2)
	forget(3*time.Hour, 1)
	if !d.Able(d.lane(x)) || d.Able(d.lane(map[string]string{"y": "1"})) {
		t.Error("a domain that was forgotten is still able, or one that stays is not")
	}
	kept.Leave(now)
	forget(3*time.Hour, 0)
	if d.Knows(org) || d.Lanes() != 0 {
		t.Error("the organization is still known")
	}
}

// A listing that finds something below the bound of a lane lowers it also while a claim of the lane is under way.
func TestListingLowersTheBoundOfABusyLane(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	lane := d.lane(nil)
	d.join(nil)
	d.join(nil)
	d.PostLocal(lane, 100, 1)
	r := d.mustBegin()
	d.Listed([]uuid.UUID{org}, d.Mark(), []queue.ReadyLane{{Lane: lane, Count: 2, From: 7}}, false)
	d.Finish(r, queue.Claimed{Jobs: []queue.Job{{Organization: org, Type: "build", Order: 100, Worker: r.Workers()[0]}}})
	if probes := d.mustBegin().Probes(); len(probes) != 1 || probes[0].From > 7 {
		t.Errorf("the next claim asks from %+v, want 7 at most", probes)
	}
}
