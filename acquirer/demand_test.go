package acquirer_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

func TestDemandByLane(t *testing.T) {
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start()
		f.join(a, f.request(map[string]string{"os": "linux"}))
		f.join(b, f.request(map[string]string{"os": "linux"}))
		busy := f.join(b, f.request(map[string]string{"os": "bsd"}))
		f.enqueue(a, f.posting(map[string]string{"os": "bsd"}))
		f.settle()
		f.mustGet(busy, "busy")
		f.pass(30 * time.Second) // everybody has said how many workers it has
		mac := map[string]string{"os": "mac"}
		posted := f.enqueue(a, f.posting(mac), f.posting(mac))
		later := f.posting(mac)
		later.NotBefore = time.Now().Add(time.Hour)
		f.enqueue(a, later)

		d, err := a.Demand(f.ctx, f.org)
		if err != nil || len(d.Lanes) != 1 || !d.Next.Equal(later.NotBefore) {
			t.Fatalf("demand %+v, error %v", d, err)
		}
		l := d.Lanes[0]
		if l.Lane != posted[0].Lane() || l.Ready != 2 || !l.Oldest.Equal(posted[0].CreatedAt) || l.Running != 1 || l.Waiting != 0 || l.Busy != 0 {
			t.Errorf("lane %+v", l)
		}
		f.slip(f.posting(map[string]string{"os": "linux"}))
		d, err = b.Demand(f.ctx, f.org)
		i := slices.IndexFunc(d.Lanes, func(l acquirer.LaneDemand) bool { return l.Lane.Tags.Map()["os"] == "linux" })
		if err != nil || i < 0 || d.Lanes[i].Waiting != 2 {
			t.Errorf("demand %+v, error %v", d, err)
		}
		f.slip(f.posting(map[string]string{"os": "bsd"}))
		d, err = a.Demand(f.ctx, f.org)
		i = slices.IndexFunc(d.Lanes, func(l acquirer.LaneDemand) bool { return l.Lane.Tags.Map()["os"] == "bsd" })
		if err != nil || i < 0 || d.Lanes[i].Waiting != 0 || d.Lanes[i].Busy != 1 {
			t.Errorf("where the only worker is busy: %+v, error %v", d, err)
		}
		if d, err = a.Demand(f.ctx, uuid.New()); err != nil || len(d.Lanes) != 0 {
			t.Errorf("demand of nobody: %+v, %v", d, err)
		}
		f.store.Once(acquirertest.Ready, acquirertest.Fault{Down: true})
		if _, err := a.Demand(f.ctx); !errors.Is(err, acquirertest.ErrDown) {
			t.Errorf("a store that fails: %v", err)
		}
	})
}

func TestAble(t *testing.T) {
	bubble(t, func(f *fleet) {
		linux := queue.Lane{Organization: f.org, Type: "build", Tags: tagSet(t, map[string]string{"os": "linux"})}
		if a := f.make(f.bus); !a.Able(linux) {
			t.Error("before the first heartbeat nothing is known")
		}
		a, b := f.start(), f.start()
		f.pass(30 * time.Second)
		if a.Able(linux) {
			t.Error("nobody is there")
		}
		w := f.join(b, f.request(map[string]string{"os": "linux"}))
		f.pass(30 * time.Second)
		other := linux
		other.Type = "test"
		if !a.Able(linux) || !b.Able(linux) || a.Able(other) {
			t.Errorf("linux: %v here, %v there; another type: %v", a.Able(linux), b.Able(linux), a.Able(other))
		}
		w.cancel()
		f.pass(30 * time.Minute)
		if a.Able(linux) {
			t.Error("the worker has left")
		}
	})
}

func tagSet(t *testing.T, tags map[string]string) queue.TagSet {
	t.Helper()
	set, err := queue.NewTagSet(tags)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// The machine of a worker is gone: its jobs are decided about at once, wherever they are held.
func TestLostWorkers(t *testing.T) {
	bubble(t, func(f *fleet) {
		policies := func(c *acquirer.Config) { c.Lost = map[string]acquirer.LostPolicy{"": acquirer.FailLost()} }
		a, b := f.start(policies), f.start(policies)
		at := func(a *acquirer.Acquirer, machine string) *wait {
			tags := map[string]string{"machine": machine}
			w := f.join(a, f.request(tags))
			f.enqueue(a, f.posting(tags))
			f.settle()
			return w
		}
		here, there, fine := at(a, "here"), at(b, "there"), at(a, "fine")
		mine, theirs, kept := f.mustGet(here, "here"), f.mustGet(there, "there"), f.mustGet(fine, "fine")
		f.pass(time.Minute)
		work, done := a.Watch(f.ctx, mine.Lease())
		defer done()
		jobs, err := a.RunningJobs(f.ctx, func(j queue.Job) bool { return j.Worker == mine.Worker || j.Worker == theirs.Worker })
		if err != nil || len(jobs) != 2 {
			t.Errorf("jobs of the two: %+v, error %v", jobs, err)
		}
		stale := kept.Lease()
		stale.Fence--
		begun := time.Now()
		if err := a.Lost(f.ctx, "machine i-7 is gone", mine.Lease(), theirs.Lease(), stale, mine.Lease()); err != nil {
			t.Fatal(err)
		}
		f.pass(0)
		for _, job := range []queue.Job{mine, theirs} {
			if now := f.stored(job.ID); now.State != queue.Failed || now.Error != "machine i-7 is gone" {
				t.Errorf("lost job is %s: %s", now.State, now.Error)
			}
		}
		if now := f.stored(kept.ID); now.State != queue.Running {
			t.Errorf("a lease that was not named is %s", now.State)
		}
		if work.Err() == nil || time.Since(begun) > time.Second {
			t.Errorf("the work here: %v, after %v", work.Err(), time.Since(begun))
		}
		if err := a.Lost(f.ctx, "again", mine.Lease()); err != nil {
			t.Errorf("of a job that is over: %v", err)
		}
		if got := f.happened(queue.EventReaped); len(got) != 2 {
			t.Errorf("%d events", len(got))
		}
		_, _ = a.End(f.ctx, queue.End{Handout: kept.Handout(), Outcome: queue.OutcomeSucceeded})
	})
}
