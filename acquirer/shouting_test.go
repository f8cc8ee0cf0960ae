package acquirer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// shout sends a message as anybody may who can connect to the database.
func (f *fleet) shout(format string, args ...any) {
	f.t.Helper()
	if err := f.bus.Publish(f.ctx, fmt.Sprintf(format, args...)); err != nil {
		f.t.Fatal(err)
	}
	synctest.Wait()
}

// A message that a job was canceled cancels nothing; that somebody asked for it says the store, and then at once.
func TestShoutedCancellation(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start()
		job := f.hand(a)
		working, stop := a.Watch(f.ctx, job.Lease())
		defer stop()
		for range 1000 {
			f.shout(`{"p":"%s","n":1,"cancel":[{"Job":"%s","Fence":%d}]}`, uuid.New(), job.ID, job.Fence)
		}
		before := f.store.Calls(acquirertest.Jobs)
		for range 1000 {
			f.shout(`{"p":"%s","n":1,"cancel":[{"Job":"%s","Fence":%d}]}`, uuid.New(), job.ID, job.Fence)
		}
		f.pass(time.Second)
		if canceled, err := a.Renew(f.ctx, queue.Report{Handout: job.Handout()}); canceled || err != nil || working.Err() != nil {
			t.Fatalf("canceled %v, %v, %v", canceled, err, context.Cause(working))
		}
		if n := f.store.Calls(acquirertest.Jobs) - before; n > 3 {
			t.Errorf("%d questions to the store for messages of one instant", n)
		}
		if _, err := b.Cancel(f.ctx, "enough", job.ID); err != nil {
			t.Fatal(err)
		}
		f.pass(100 * time.Millisecond)
		if !errors.Is(context.Cause(working), queue.ErrJobCanceled) {
			t.Errorf("a real cancellation through another process: %v", context.Cause(working))
		}
	})
}

// Lanes that the store does not list do not exist: nobody is told of them, nothing is kept of them, and the store is not asked
// about each.
func TestShoutedLanes(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		f.joinPlain(a)
		f.pass(time.Minute)
		before := f.store.Calls(acquirertest.Ready) + f.store.Calls(acquirertest.Claim)
		for i := range 3000 {
			organization := uuid.New()
			if i%3 == 0 {
				organization = f.org
			}
			f.shout(`{"p":"%s","n":1,"jobs":[{"o":"%s","l":%d,"c":%d}]}`, uuid.New(), organization, i, 1+i%2*1_000_000)
			f.shout(`{"p":"%s","n":1,"jobs":[{"o":"%s","l":%d,"c":-2147483648}]}`, uuid.New(), organization, i)
			f.shout(`{"p":"%s","n":1,"jobs":[{"o":"%s","t":"your disk is full, call ..","g":"1:a1:b","c":1}]}`, uuid.New(), organization)
			f.shout(`not a message`)
			f.shout(`{"p":"%s","n":1,"freed":["%s"]}`, uuid.New(), organization)
		}
		f.pass(time.Second)
		if n := f.store.Calls(acquirertest.Ready) + f.store.Calls(acquirertest.Claim) - before; n > 10 {
			t.Errorf("%d calls of the store for messages of one second", n)
		}
		f.pass(time.Minute)
		if n := len(f.happened(queue.EventUnmatched)); n != 0 {
			t.Errorf("people are told of %d lanes that nobody posted to", n)
		}
	})
}

// A lane that is forged as taken is served all the same, and sooner than the backup comes.
func TestShoutedTaken(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start()
		first, second := f.joinPlain(a), f.joinPlain(b)
		f.enqueue(a, f.posting(nil))
		f.settle()
		for i := range 50 {
			for seq := range uint64(20) {
				f.shout(`{"p":"%s","n":1,"taken":[{"o":"%s","l":%d,"p":"%s","n":%d}]}`,
					uuid.New(), f.org, queue.Lane{Organization: f.org, Type: "build"}.Digest(), uuid.New(), seq+uint64(i))
			}
		}
		f.enqueue(b, f.posting(nil))
		f.settle()
		if !first.got() || !second.got() {
			t.Errorf("served: %v, %v", first.got(), second.got())
		}
	})
}

// Whoever has heard what a lane is called in messages does not make a process claim from it without end, and keeps no job from it.
func TestShoutedKnownLane(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start()
		w := f.joinPlain(b)
		f.enqueue(a, f.posting(nil))
		f.settle()
		f.mustGet(w, "posted before anybody shouts")
		w = f.joinPlain(b)
		f.settle()
		shout := func(n int) {
			for range n {
				f.shout(`{"p":"%s","n":1,"jobs":[{"o":"%s","l":%d,"c":1}]}`,
					uuid.New(), f.org, queue.Lane{Organization: f.org, Type: "build"}.Digest())
				f.pass(time.Millisecond)
			}
		}
		calls := func() int { return f.store.Calls(acquirertest.Ready) + f.store.Calls(acquirertest.Claim) }
		before := calls()
		shout(1000)
		if n := calls() - before; n > 60 {
			t.Errorf("%d calls of the store for messages of one second", n)
		}
		f.enqueue(a, f.posting(nil))
		shout(100)
		f.mustGet(w, "posted while somebody shouts")
		f.pass(time.Second)
		w = f.joinPlain(b)
		f.settle()
		begun := time.Now()
		f.enqueue(a, f.posting(nil))
		f.mustGet(w, "posted when nobody shouts any more")
		if d := time.Since(begun); d > 0 {
			t.Errorf("handed over after %s", d)
		}
	})
}

// Whoever listens hears no type and no tag.
func TestMessagesTellNoTags(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		b := f.start()
		var heard []string
		ctx, cancel := context.WithCancel(f.ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = f.bus.Listen(ctx, ear(func(text string) { heard = append(heard, text) }))
		}()
		synctest.Wait()
		w := f.join(b, f.request(map[string]string{"project": "merger"}, "secret-type"))
		p := f.posting(map[string]string{"project": "merger"})
		p.Type = "secret-type"
		f.enqueue(a, p)
		f.settle()
		f.mustGet(w, "posted elsewhere")
		cancel()
		<-done
		all := strings.Join(heard, "\n")
		if !strings.Contains(all, f.org.String()) || strings.Contains(all, "merger") || strings.Contains(all, "secret") {
			t.Errorf("heard %s", all)
		}
	})
}

type ear func(string)

func (ear) Gap()               {}
func (e ear) Message(m string) { e(m) }
