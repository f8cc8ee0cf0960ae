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
