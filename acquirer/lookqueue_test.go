package acquirer_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Two thousand organizations that somebody makes up at once cost some looks, not two thousand, and nothing is kept of them. A
// thousand that really have a job each get it with few looks too.
func TestInventedOrganizations(t *testing.T) {
	bubble(t, func(f *fleet) {
		a := f.start()
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault { // a database answers no sooner
			return acquirertest.Fault{Before: func(context.Context) {
				if v == acquirertest.Ready {
					time.Sleep(time.Millisecond)
				}
			}}
		})
		before := f.store.Calls(acquirertest.Ready)
		ctx, hangUp := context.WithCancel(f.ctx)
		var asking sync.WaitGroup
		for range 2000 {
			asking.Go(func() {
				_, _ = a.AcquireJob(ctx, queue.Request{Organization: uuid.New(), Worker: uuid.New(), Types: []string{"build"}})
			})
		}
		time.Sleep(time.Second)
		if looks := f.store.Calls(acquirertest.Ready) - before; looks > 20 {
			t.Errorf("2,000 organizations were looked at in %d calls", looks)
		}
		hangUp()
		asking.Wait()
		time.Sleep(time.Minute)
		if s := a.Stats(); s.Lanes != 0 || s.Domains != 0 {
			t.Errorf("something is kept of them: %+v", s)
		}

		before = f.store.Calls(acquirertest.Ready)
		for i := range 1000 {
			org := uuid.New()
			posting := queue.Posting{Organization: org, Type: "build", NotBefore: time.Now().Add(time.Duration(i%3) * time.Minute)}
			_, err := f.inner.Enqueue(f.ctx, time.Now(), []queue.Posting{posting}) // by somebody whom nobody here hears
			if err != nil {
				t.Fatal(err)
			}
			asking.Go(func() {
				job, err := a.AcquireJob(f.ctx, queue.Request{Organization: org, Worker: uuid.New(), Types: []string{"build"}})
				if err != nil || job.Organization != org {
					t.Error(fmt.Errorf("job %s of %s: %w", job.ID, org, err))
				}
			})
		}
		begun := time.Now()
		asking.Wait()
		if took := time.Since(begun); took > 2*time.Minute+time.Second {
			t.Errorf("the last job, ready after two minutes, was handed out after %v", took)
		}
		if looks := f.store.Calls(acquirertest.Ready) - before; looks > 100 {
			t.Errorf("1,000 organizations with jobs were looked at in %d calls", looks)
		}
	})
}

// An organization with so many lanes that a look takes long is looked at for a tenth of the time, however many new lanes are announced
// and whoever comes to wait, and once in a poll at least.
func TestLongLooksAreRare(t *testing.T) {
	for _, c := range []struct {
		took          time.Duration
		least, atMost int
	}{
		{20 * time.Millisecond, 40, 55},
		{100 * time.Millisecond, 8, 11},
		{600 * time.Millisecond, 6, 8},
	} {
		t.Run(c.took.String(), func(t *testing.T) {
			bubble(t, func(f *fleet) { longLooks(t, f, c.took, c.least, c.atMost) })
		})
	}
}

func longLooks(t *testing.T, f *fleet, took time.Duration, least, atMost int) {
	a, b := f.start(), f.start()
	f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
		return acquirertest.Fault{Before: func(context.Context) {
			if v == acquirertest.Ready {
				time.Sleep(took)
			}
		}}
	})
	ctx, hangUp := context.WithCancel(f.ctx)
	var asking sync.WaitGroup
	come := func() { asking.Go(func() { _, _ = a.AcquireJob(ctx, f.request(nil)) }) }
	come()
	time.Sleep(2 * time.Second)
	before := f.store.Calls(acquirertest.Ready)
	for n := range 1000 {
		if _, err := b.Enqueue(f.ctx, f.posting(map[string]string{"only": fmt.Sprint(n)})); err != nil {
			t.Fatal(err)
		}
		come()
		time.Sleep(10 * time.Millisecond)
	}
	if looks := f.store.Calls(acquirertest.Ready) - before; looks < least || looks > atMost {
		t.Errorf("%d looks of %v in ten seconds", looks, took)
	}
	hangUp()
	asking.Wait()
}
