package dispatch_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// A lane is served where somebody who waits here would claim what is posted, and is not while his claim is under way.
func TestServed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	l := d.lane(x)
	if d.Served(l) {
		t.Error("served where nobody waits")
	}
	w := d.join(x)
	if !d.Served(l) || d.Served(queue.Lane{Organization: uuid.UUID{2}, Type: "build"}) || d.Served(d.lane(xy)) {
		t.Error("not served, or by who cannot run it")
	}
	d.PostLocal(l, 7, 1)
	if !d.Served(l) {
		t.Error("not served while the claim is queued")
	}
	r := d.mustBegin()
	if d.Served(l) {
		t.Error("served while the claim is under way")
	}
	d.Finish(r, queue.Claimed{Jobs: []queue.Job{job(l, w.Worker, 7)}})
	d.join(x)
	d.Close(now)
	if d.Served(l) {
		t.Error("served after the end")
	}
}

// A claim that is put off serves nobody: what it was to claim is announced, and whatever is posted until it begins. No other domain is
// queued in its place.
func TestPutOff(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	l := d.lane(x)
	w := d.join(x)
	d.join(xy)
	d.PostLocal(l, 7, 1)
	d.PutOff(w.Domain())
	if d.announced[l] != 1 || d.Served(l) {
		t.Errorf("%d announced, want 1; served %v", d.announced[l], d.Served(l))
	}
	d.PostLocal(l, 8, 1)
	if d.announced[l] != 2 {
		t.Errorf("%d announced, want the second as well", d.announced[l])
	}
	d.Finish(d.mustBegin(), queue.Claimed{Jobs: []queue.Job{job(l, w.Worker, 7)}})
	if d.PostLocal(l, 9, 1); !d.Served(l) || d.announced[l] != 2 {
		t.Errorf("%d announced, served %v after the claim has been made", d.announced[l], d.Served(l))
	}
}

// Whoever is not about to claim cannot be put off.
func TestPutOffBesideAClaim(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	l := d.lane(x)
	w := d.join(x)
	d.join(x)
	d.PutOff(w.Domain())
	if !d.Served(l) {
		t.Error("not served though nothing is put off")
	}
	d.PostLocal(l, 7, 1)
	r := d.mustBegin()
	d.PutOff(w.Domain())
	d.Finish(r, queue.Claimed{Jobs: []queue.Job{job(l, w.Worker, 7)}})
	d.PostLocal(l, 8, 1)
	if d.announced[l] != 0 || !d.Served(l) {
		t.Errorf("%d announced, served %v, want a claim that is queued", d.announced[l], d.Served(l))
	}
}

// A domain that could not find out what its last claim has got does not claim for a while: what was posted meanwhile is announced.
func TestPostedBesideAnUnsettledClaim(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	l := d.lane(x)
	w := d.join(x)
	d.PostLocal(l, 7, 1)
	d.Fail(d.mustBegin())
	d.Retry(w.Domain())
	before := d.announced[l]
	d.PostLocal(l, 8, 1)
	d.SettleFailed(w.Domain())
	if n := d.announced[l] - before; n != 1 || d.Served(l) {
		t.Errorf("%d announced, want 1; served %v", n, d.Served(l))
	}
}

// What others have heard of is not announced, and is claimed here if somebody waits.
func TestPostingThatIsNoNews(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	l := d.lane(x)
	d.PostLocal(l, 7, 0)
	if _, said := d.announced[l]; said {
		t.Error("announced for an organization that is not known here")
	}
	d.join(x)
	d.join(x).Leave(now)
	d.PostLocal(l, 7, 0)
	d.mustBegin()
	d.PostLocal(l, 8, 0)
	if _, said := d.announced[l]; said {
		t.Error("announced beside a claim")
	}
	d.PostLocal(l, 9, 1)
	if d.announced[l] != 1 {
		t.Errorf("%d announced, want the one that is news", d.announced[l])
	}
}
