package acquirer_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// The store looked before the job was there, and the posting arrives before the store's answer.
func TestPostingOvertakesTheAnswer(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		waits := []*wait{f.joinPlain(a), f.joinPlain(a)}
		f.settle()
		goOn := make(chan struct{})
		f.store.Once(acquirertest.Claim, acquirertest.Fault{After: func(context.Context) { <-goOn }})
		f.enqueue(a, f.posting(nil))
		f.enqueue(a, f.posting(nil)) // the claim for two has found one, and nobody knows yet
		close(goOn)
		synctest.Wait()
		if n := count(waits); n != 2 {
			t.Errorf("%d of 2 served", n)
		}
	})
}

// The same for a look into the store.
func TestPostingOvertakesTheListing(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		goOn := make(chan struct{})
		f.store.Once(acquirertest.Ready, acquirertest.Fault{After: func(context.Context) { <-goOn }})
		busy := make(chan struct{})
		w := f.joinPlain(a) // looks; the listing is empty and held back
		var once bool
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			if v == acquirertest.Claim && !once { // and the claim fails, so that only the mark keeps the job known
				once = true
				return acquirertest.Fault{Before: func(context.Context) { <-busy }, Down: true}
			}
			return acquirertest.Fault{}
		})
		f.enqueue(a, f.posting(nil))
		close(goOn)
		synctest.Wait()
		close(busy)
		f.settle()
		f.mustGet(w, "posted while an empty listing was on its way")
	})
}

// A caller that was chosen leaves before its turn to ask has come: another domain must be asked instead.
func TestChosenCallerLeavesBeforeItsTurn(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		const calls = 3 // that a process has in flight for one organization
		for i := range calls {
			f.join(a, f.request(map[string]string{"z": fmt.Sprint(i)}))
		}
		special := f.join(a, f.request(map[string]string{"x": "1"}))
		versatile := f.join(a, f.request(map[string]string{"x": "1", "y": "1"}))
		f.enqueue(a, f.posting(map[string]string{"y": "1"}))
		f.mustGet(versatile, "its own job")
		versatile = f.join(a, f.request(map[string]string{"x": "1", "y": "1"}))
		f.settle()
		goOn := make(chan struct{})
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			if v == acquirertest.Claim {
				return acquirertest.Fault{Before: func(context.Context) { <-goOn }}
			}
			return acquirertest.Fault{}
		})
		claims := f.store.Calls(acquirertest.Claim)
		for i := range calls {
			f.enqueue(a, f.posting(map[string]string{"z": fmt.Sprint(i)})) // nothing more is called
		}
		f.enqueue(a, f.posting(map[string]string{"x": "1"})) // the specialist is queued
		if n := f.store.Calls(acquirertest.Claim) - claims; n != calls {
			t.Fatalf("%d claims in flight, want %d", n, calls)
		}
		special.cancel()
		synctest.Wait()
		close(goOn)
		synctest.Wait()
		f.mustGet(versatile, "after the specialist left")
	})
}

// The versatile worker is kept free for what only it can run, however long it has waited.
func TestSpecialistGoesFirst(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		versatile := f.join(a, f.request(map[string]string{"x": "1", "y": "1"}))
		f.enqueue(a, f.posting(map[string]string{"y": "1"}))
		f.mustGet(versatile, "its own job")
		versatile = f.join(a, f.request(map[string]string{"x": "1", "y": "1"}))
		special := f.join(a, f.request(map[string]string{"x": "1"}))
		f.enqueue(a, f.posting(map[string]string{"x": "1"}))
		f.mustGet(special, "which both could run")
		f.enqueue(a, f.posting(map[string]string{"y": "1"}))
		f.mustGet(versatile, "which only it can run")
	})
}

// Two postings shortly after one another: the second is not held back for more than the pause.
func TestAnnouncementsHaveATrailingEdge(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start()
		waits := []*wait{f.joinPlain(a), f.joinPlain(a)}
		f.settle()
		begun := time.Now()
		f.enqueue(b, f.posting(nil))
		f.pass(time.Millisecond)
		f.enqueue(b, f.posting(nil))
		<-waits[1].done
		f.mustGet(waits[1], "the second of two postings")
		if took := time.Since(begun); took > 6*time.Millisecond {
			t.Errorf("took %s", took)
		}
	})
}

// A flood of postings is few messages, each short enough, and nothing gets lost in the splitting.
func TestFloodOfAnnouncements(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		longest := 0
		f.bus.Choose(func(m string) acquirertest.Fate {
			longest = max(longest, len(m))
			return acquirertest.Pass
		})
		a, b := f.start(), f.start()
		const lanes = 200
		var waits []*wait
		for i := range lanes {
			waits = append(waits, f.join(a, f.request(map[string]string{"only": fmt.Sprint(i)})))
		}
		f.settle()
		before := f.bus.Sent()
		var postings []queue.Posting
		for i := range lanes {
			postings = append(postings, f.posting(map[string]string{"only": fmt.Sprint(i)}))
		}
		f.enqueue(b, postings...)
		f.settle()
		if n := count(waits); n != lanes {
			t.Errorf("%d of %d served", n, lanes)
		}
		if longest > queue.MaxMessage {
			t.Errorf("a message of %d bytes", longest)
		}
		if n := f.bus.Sent() - before; n > 20 {
			t.Errorf("%d messages for one burst", n)
		}
	})
}

// Whatever the pubsub does to the messages, each job is handed out once, and within a backup.
func TestBadPubsub(t *testing.T) {
	t.Parallel()
	for name, fate := range map[string]func(i int) acquirertest.Fate{
		"drops":   func(i int) acquirertest.Fate { return []acquirertest.Fate{acquirertest.Drop, acquirertest.Pass}[i%2] },
		"doubles": func(int) acquirertest.Fate { return acquirertest.Double },
		"delays and reorders": func(i int) acquirertest.Fate {
			return []acquirertest.Fate{acquirertest.Hold, acquirertest.Pass, acquirertest.Hold}[i%3]
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				i := 0
				f.bus.Choose(func(string) acquirertest.Fate { i++; return fate(i) })
				a, b, c := f.start(), f.start(), f.start()
				var waits []*wait
				for range 15 {
					waits = append(waits, f.joinPlain(a), f.joinPlain(b))
				}
				for range 30 {
					f.enqueue(c, f.posting(nil))
					f.pass(100 * time.Millisecond)
					for f.bus.Held() > 3 {
						f.bus.Deliver(f.bus.Held() - 1) // newest first
					}
				}
				f.pass(time.Minute)
				if n := count(waits); n != 30 {
					t.Errorf("%d of 30 served", n)
				}
			})
		})
	}
}

// A text that no process of ours sent is no reason to lose anything.
func TestForeignMessages(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		w := f.joinPlain(a)
		f.settle()
		f.slip(f.posting(nil))
		for _, text := range []string{"", "{", "hello", `{"jobs":[{"t":""}]}`, `{"jobs":[{"t":"build","g":"nonsense"}]}`} {
			if err := f.bus.Publish(f.ctx, text); err != nil {
				t.Fatal(err)
			}
		}
		f.settle()
		f.mustGet(w, "after a message that meant who knows what")
	})
}

// A connection that is dead in one direction gives no error; not hearing oneself does.
func TestDeafListenerPolls(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		var log bytes.Buffer
		a, b := f.start(func(c *acquirer.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }), f.start()
		w := f.joinPlain(a)
		f.pass(20 * time.Second)
		f.bus.Choose(func(string) acquirertest.Fate { return acquirertest.Drop })
		f.pass(30 * time.Second)
		if a.Stats().Hearing {
			t.Error("does not know that it hears nothing")
		}
		if n := strings.Count(log.String(), "own announcements do not come back"); n != 1 {
			t.Errorf("says %d times that it hears nothing", n)
		}
		f.enqueue(b, f.posting(nil))
		f.pass(3 * time.Second)
		f.mustGet(w, "found by polling")
		f.bus.Choose(nil)
		f.pass(10 * time.Second)
		if !a.Stats().Hearing {
			t.Error("does not know that it hears again")
		}
	})
}

// Without a pubsub the processes live by looking.
func TestWithoutPubsub(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		run := func() *acquirer.Acquirer {
			a := f.make(nil)
			ctx, cancel := context.WithCancel(f.ctx)
			done := make(chan struct{})
			go func() { defer close(done); _ = a.Run(ctx) }()
			f.stoppers = append(f.stoppers, func() { cancel(); <-done })
			return a
		}
		a, b := run(), run()
		own, other := f.joinPlain(a), f.joinPlain(b)
		f.settle()
		f.enqueue(a, f.posting(nil))
		f.mustGet(own, "posted in the same process, at once")
		f.enqueue(a, f.posting(nil))
		f.pass(2 * time.Second)
		f.mustGet(other, "posted in another process, after a poll")
	})
}

// When listening breaks and comes back, what was announced meanwhile is found at once.
func TestReconnect(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		w := f.joinPlain(a)
		f.settle()
		f.bus.Cut(true)
		f.pass(time.Second)
		if a.Stats().Hearing {
			t.Error("does not know that it does not listen")
		}
		f.slip(f.posting(nil))
		f.bus.Cut(false)
		f.pass(12 * time.Second) // the longest pause between two attempts
		f.mustGet(w, "after listening again")
	})
}

// Messages that could not be sent are counted, and sent later.
func TestPublishFails(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		registry := prometheus.NewPedanticRegistry()
		a, b := f.start(), f.start(func(c *acquirer.Config) { c.Registerer = registry })
		w := f.joinPlain(a)
		f.settle()
		sent := announced(t, registry, "ok")
		f.bus.FailPublish(acquirertest.ErrDown)
		f.enqueue(b, f.posting(nil))
		f.pass(time.Second)
		if w.over() {
			t.Fatal("served without a message")
		}
		if failed, ok := announced(t, registry, "error"), announced(t, registry, "ok"); failed == 0 || ok != sent {
			t.Errorf("%v messages are counted as failed, and %v more as sent", failed, ok-sent)
		}
		f.bus.FailPublish(nil)
		f.pass(2 * time.Second)
		f.mustGet(w, "after the pubsub came back")
		if ok := announced(t, registry, "ok"); ok <= sent {
			t.Errorf("%v messages are counted as sent", ok-sent)
		}
	})
}

// announced is how many messages a process has sent with a result.
func announced(t *testing.T, registry *prometheus.Registry, result string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if family.GetName() == "dormouse_job_announcements_total" && label.GetName() == "result" && label.GetValue() == result {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}
