package acquirer_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// carriers counts what it is given to carry, and carries it unless it refuses.
type carriers struct {
	*acquirertest.Pubsub
	asked  atomic.Int32
	refuse bool
	parts  []string // the last ones
}

func (c *carriers) Carry(ctx context.Context, parts []string) context.Context {
	c.asked.Add(1)
	c.parts = parts
	if c.refuse {
		return ctx
	}
	return c.Pubsub.Carry(ctx, parts)
}

// poster runs a process that posts, with a pubsub of its own on the fleet's bus.
func (f *fleet) poster(bus queue.Pubsub) *acquirer.Acquirer {
	f.t.Helper()
	a := f.make(bus)
	ctx, cancel := context.WithCancel(f.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.Run(ctx)
	}()
	f.stoppers = append(f.stoppers, func() { cancel(); <-done })
	synctest.Wait()
	return a
}

// After a quiet time the announcement is in the postings' commit: a worker elsewhere has the job although the poster never heard of
// it. The poster repeats its call, and nothing happens twice.
func TestAnnouncementInTheCommit(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		front, back := f.start(), f.start()
		w := f.joinPlain(back)
		f.settle()
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			return acquirertest.Fault{Lost: v == acquirertest.Enqueue}
		})
		p, begun := f.posting(nil), time.Now()
		if _, err := front.Enqueue(f.ctx, p); err == nil {
			t.Fatal("the answer is not lost")
		}
		synctest.Wait()
		if job := f.mustGet(w, "a job whose poster has no answer"); job.ID != p.ID || time.Since(begun) > 0 {
			t.Errorf("job %s after %s", job.ID, time.Since(begun))
		}
		f.store.Choose(nil)
		if again := f.enqueue(front, p); !again[0].Duplicate || again[0].Announced {
			t.Errorf("posted again: %+v", again[0])
		}
	})
}

// What is carried says of each lane how many jobs it gets at once, and leaves the number behind which they stand to the store.
func TestWhatIsCarried(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		bus := &carriers{Pubsub: f.bus}
		front := f.poster(bus)
		f.settle()
		later := f.posting(nil)
		later.NotBefore = time.Now().Add(time.Second)
		now := f.posting(nil)
		now.NotBefore = time.Now()
		f.enqueue(front, f.posting(nil), f.posting(map[string]string{"os": "linux"}), later, now)
		if len(bus.parts) != 3 {
			t.Fatalf("parts %q", bus.parts)
		}
		type lane struct {
			Organization uuid.UUID `json:"o"`
			From         int64     `json:"f"`
			Count        int       `json:"c"`
		}
		var m struct {
			Jobs []lane `json:"jobs"`
		}
		if err := json.Unmarshal([]byte(strings.Join(bus.parts, "7")), &m); err != nil {
			t.Fatal(err)
		}
		if want := []lane{{f.org, 7, 2}, {f.org, 7, 1}}; !slices.Equal(m.Jobs, want) {
			t.Errorf("%+v, want %+v", m.Jobs, want)
		}
	})
}

// Commits that send wait for each other: in a flood one of them does in a pause, and the rest is sent apart, at the end of the pause.
func TestOneAnnouncementOfAPauseIsCarried(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		bus := &carriers{Pubsub: f.bus}
		front, back := f.poster(bus), f.start()
		var waits []*wait
		for range 40 {
			waits = append(waits, f.joinPlain(back))
		}
		f.settle()
		sent := f.bus.Sent()
		for range 10 {
			for range 4 {
				f.enqueue(front, f.posting(nil))
			}
			f.pass(5 * time.Millisecond)
		}
		f.pass(5 * time.Millisecond)
		if n := count(waits); n != 40 {
			t.Errorf("%d of 40 have a job", n)
		}
		if carried, all := int(bus.asked.Load()), f.bus.Sent()-sent; carried < 1 || carried > 10 || all < 10 || all > 31 {
			t.Errorf("%d messages, %d of them carried", all, carried)
		}
	})
}

// What the store did not send is sent at once as before, also to a pubsub whose store knows nothing of it, and also where nobody has an
// organization.
func TestAnnouncementThatIsNotCarried(t *testing.T) {
	t.Parallel()
	for name, org := range map[string]uuid.UUID{"of an organization": uuid.New(), "without organizations": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				f.org = org
				bus := &carriers{Pubsub: f.bus, refuse: true}
				front, back := f.poster(bus), f.start()
				w := f.joinPlain(back)
				f.settle()
				f.slowly(acquirertest.Enqueue, time.Millisecond) // the pause begins before that is over
				begun := time.Now()
				f.enqueue(front, f.posting(nil))
				f.mustGet(w, "a job whose announcement was not carried")
				if d := time.Since(begun); d > time.Millisecond || bus.asked.Load() != 1 {
					t.Errorf("handed over after %s, asked %d times", d, bus.asked.Load())
				}
			})
		})
	}
}

// Nothing is carried for jobs that a worker of this process waits for, that are not ready, or whose organizations differ; a repetition
// announces what the first call has stored.
func TestNothingToCarry(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		bus := &carriers{Pubsub: f.bus}
		front := f.poster(bus)
		w := f.joinPlain(front)
		f.settle()
		f.enqueue(front, f.posting(nil))
		f.mustGet(w, "a job posted beside its worker")
		f.settle()
		later := f.posting(nil)
		later.NotBefore = time.Now().Add(time.Hour)
		f.enqueue(front, later)
		f.settle()
		other := f.posting(nil)
		other.Organization = uuid.New()
		f.enqueue(front, f.posting(nil), other)
		f.settle()
		if n := bus.asked.Load(); n != 0 {
			t.Errorf("carried %d times", n)
		}
		back := f.start()
		f.settle()
		w = f.joinPlain(back)
		f.settle()
		_ = f.mustGet(w, "the job that was left")
		w = f.joinPlain(back)
		f.settle()
		p := f.posting(nil)
		f.slip(p)
		f.enqueue(front, p)
		if job := f.mustGet(w, "a job that was stored before"); job.ID != p.ID {
			t.Errorf("job %s", job.ID)
		}
	})
}

// A job that is delayed counts as announced when it is stored beside one that is told of, as the store cannot know: it is announced again
// when its time has come, and found by the backup where its poster is gone by then, like one that was stored by itself.
func TestDelayedBesideWhatIsCarried(t *testing.T) {
	t.Parallel()
	const delay = time.Minute
	for name, c := range map[string]struct {
		gone bool
		by   time.Duration
	}{
		"the poster lives": {by: 10 * time.Millisecond},
		"it is gone":       {gone: true, by: 33 * time.Second}, // the backup
	} {
		for way, carried := range map[string]bool{"carried": true, "sent": false} {
			t.Run(name+", "+way, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(f *fleet) {
					front, stop := f.startStoppable()
					back := f.start()
					waits := []*wait{f.joinPlain(back), f.joinPlain(back)}
					f.settle()
					if !carried {
						f.enqueue(front, queue.Posting{ID: uuid.New(), Organization: f.org, Tenant: uuid.New(), Type: "other"})
					}
					later := f.posting(nil)
					later.NotBefore = time.Now().Add(delay)
					jobs := f.enqueue(front, f.posting(nil), later)
					if jobs[0].Announced != carried || jobs[1].Announced != carried {
						t.Fatalf("announced %v and %v, want %v", jobs[0].Announced, jobs[1].Announced, carried)
					}
					f.pass(delay / 2)
					if c.gone {
						stop()
					}
					f.pass(delay/2 - time.Millisecond)
					if n := count(waits); n != 1 {
						t.Fatalf("%d jobs handed out before the time of the second", n)
					}
					f.pass(time.Millisecond + c.by)
					if n := count(waits); n != 2 {
						t.Error("the delayed job is not handed out")
					}
				})
			})
		}
	}
}
