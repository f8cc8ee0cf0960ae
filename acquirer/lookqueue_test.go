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

// An organization with so many lanes that a look takes long is looked at for a tenth of the time, however many new lanes are announced.
func TestLongLooksAreRare(t *testing.T) {
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start()
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			return acquirertest.Fault{Before: func(context.Context) {
				if v == acquirertest.Ready {
					time.Sleep(20 * time.Millisecond)
				}
			}}
		})
		ctx, hangUp := context.WithCancel(f.ctx)
		var asking sync.WaitGroup
		asking.Go(func() { _, _ = a.AcquireJob(ctx, f.request(nil)) })
		time.Sleep(time.Second)
		before := f.store.Calls(acquirertest.Ready)
		for n := range 1000 {
			if _, err := b.Enqueue(f.ctx, f.posting(map[string]string{"only": fmt.Sprint(n)})); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if looks := f.store.Calls(acquirertest.Ready) - before; looks < 20 || looks > 60 {
			t.Errorf("%d looks of 20 ms in ten seconds", looks)
		}
		hangUp()
		asking.Wait()
	})
}
