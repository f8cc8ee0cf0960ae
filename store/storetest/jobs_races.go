package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var jobRaceTests = []jobTest{
	{"ClaimsNeverShareAJob", raceClaims},
	{"ClaimsOverMixedLanes", raceMixed},
	{"LimitsHold", raceLimits},
	{"EndsOnce", raceEnds},
	{"EnqueueOnce", raceEnqueue},
	{"CancelOrClaim", raceCancel},
	{"HeartbeatOrReap", raceReap},
	{"RequeuedAndClaimed", raceRequeue},
	{"LyingWorkers", raceLiars},
}

// race runs f from many goroutines at once and ends the test on the first error.
func (k *jobKit) race(f func(i int) error) {
	k.t.Helper()
	var group sync.WaitGroup
	errs := make([]error, k.racers)
	start := make(chan struct{})
	for i := range k.racers {
		group.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		k.t.Fatal(err)
	}
}

// register gives every racer a process.
func (k *jobKit) register() []uuid.UUID {
	processes := make([]uuid.UUID, k.racers)
	for i := range processes {
		processes[i] = uuid.New()
		k.heartbeat(processes[i])
	}
	return processes
}

// drain claims in batches until three claims in a row found nothing: a job that another claim is just taking
// may be passed over.
func (k *jobKit) drain(ctx context.Context, process uuid.UUID, batch int, of []queue.Job, took func(queue.Job) error) error {
	for empty := 0; empty < 3; {
		ask := k.ask(batch, of...)
		ask.Process = process
		claimed, err := k.store.Claim(ctx, ask)
		if err != nil {
			return err
		}
		empty++
		for _, j := range claimed.Jobs {
			empty = 0
			if err := took(j); err != nil {
				return err
			}
		}
	}
	return nil
}

func raceClaims(k *jobKit) {
	jobs := k.enqueue(k.postings(200)...)
	processes := k.register()
	var taken sync.Map
	var total atomic.Int64
	k.race(func(i int) error {
		return k.drain(k.ctx, processes[i], 1+i, jobs, func(j queue.Job) error {
			if _, twice := taken.LoadOrStore(j.ID, i); twice {
				return errors.New("broken rule: a job was given to two claims")
			}
			total.Add(1)
			return nil
		})
	})
	k.claimRest(&total, jobs)
	k.must(total.Load() == 200, "every ready job is claimed by somebody", "%d of 200", total.Load())
}

// claimRest claims what the racers passed over while others had it in hand.
func (k *jobKit) claimRest(total *atomic.Int64, jobs []queue.Job) {
	k.t.Helper()
	total.Add(int64(len(k.claim(len(jobs), jobs...))))
}

func raceMixed(k *jobKit) {
	var jobs []queue.Job
	for _, name := range []string{"a", "b", "c", "d"} {
		jobs = append(jobs, k.enqueue(k.postings(40, ofType(name))...)...)
	}
	processes := k.register()
	var taken sync.Map
	var total atomic.Int64
	k.race(func(i int) error {
		mine := append(jobs[i%4*40:], jobs[:(i+2)%4*40]...)[:80]
		return k.drain(k.ctx, processes[i], 7, mine, func(j queue.Job) error {
			if _, twice := taken.LoadOrStore(j.ID, i); twice {
				return errors.New("broken rule: a job was given to two claims with overlapping lanes")
			}
			total.Add(1)
			return nil
		})
	})
	k.claimRest(&total, jobs)
	k.must(total.Load() == 160, "overlapping claims lose no job", "%d of 160", total.Load())
}

func raceLimits(k *jobKit) {
	const perTenant, perType, perClass = 2, 5, 6
	limits := queue.Limits{
		PerTenant: perTenant, Types: map[string]int{"scan": perType},
		Classes: []queue.Class{{Priority: 0, Max: perClass}},
	}
	tenantIDs := []uuid.UUID{uuid.New(), uuid.New(), uuid.New(), uuid.New()}
	var jobs []queue.Job
	for i := range 120 {
		jobs = append(jobs, k.enqueue(k.posting(
			ofTenant(tenantIDs[i%4]), ofType([]string{"build", "scan"}[i/4%2]), withPriority(int16(i/8%2)),
		))...)
	}
	processes := k.register()
	gauge := &limitGauge{counts: make(map[any]int)}
	check := func(j queue.Job) error {
		err := gauge.add(1, perTenant, j.Tenant)
		if j.Type == "scan" {
			err = errors.Join(err, gauge.add(1, perType, j.Type))
		}
		if j.Priority <= 0 {
			err = errors.Join(err, gauge.add(1, perClass, j.Priority))
		}
		return err
	}
	release := func(j queue.Job) {
		_ = gauge.add(-1, 0, j.Tenant)
		if j.Type == "scan" {
			_ = gauge.add(-1, 0, j.Type)
		}
		if j.Priority <= 0 {
			_ = gauge.add(-1, 0, j.Priority)
		}
	}
	var done atomic.Int64
	deadline, cancel := context.WithTimeout(k.ctx, watchTimeout)
	defer cancel()
	k.race(func(i int) error {
		for done.Load() < 120 && deadline.Err() == nil {
			ask := k.ask(3, jobs...)
			ask.Process, ask.Limits = processes[i], limits
			claimed, err := k.store.Claim(deadline, ask)
			if err != nil {
				return err
			}
			for _, j := range claimed.Jobs {
				if err := check(j); err != nil {
					return err
				}
			}
			for _, j := range claimed.Jobs {
				release(j)
				if _, err := k.store.End(deadline, k.now, []queue.End{{Handout: k.handout(j), Outcome: queue.OutcomeSucceeded}}); err != nil {
					return err
				}
				done.Add(1)
			}
		}
		return nil
	})
	k.must(done.Load() == 120, "limits let every job through in the end", "%d of 120", done.Load())
}

// limitGauge counts what surely runs: from after the claim's answer to before the end's call.
type limitGauge struct {
	mu     sync.Mutex
	counts map[any]int
}

func (g *limitGauge) add(n, limit int, key any) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts[key] += n
	if n > 0 && g.counts[key] > limit {
		return errors.New("broken rule: a limit was exceeded by claims at the same time")
	}
	return nil
}

func raceEnds(k *jobKit) {
	for range 20 {
		job := k.running()
		var first, again atomic.Int64
		k.race(func(i int) error {
			answers, err := k.store.End(k.ctx, k.now, []queue.End{{
				Handout: k.handout(job), Outcome: []queue.Outcome{queue.OutcomeSucceeded, queue.OutcomeFailed}[i%2],
			}})
			switch {
			case err != nil:
				return err
			case answers[0].Err == nil && answers[0].Again:
				again.Add(1)
			case answers[0].Err == nil:
				first.Add(1)
			}
			return nil
		})
		k.must(first.Load() == 1 && again.Load() == int64(k.racers/2-1), "of ends at the same time one takes effect, equal ones are repeats, others are refused", "%d took effect, %d repeats", first.Load(), again.Load())
	}
}

func raceEnqueue(k *jobKit) {
	p := k.posting()
	k.race(func(int) error {
		_, err := k.store.Enqueue(k.ctx, k.now, []queue.Posting{p, k.posting()})
		return err
	})
	jobs := k.claim(100, k.get(p.ID))
	k.must(len(jobs) == k.racers+1, "one posting sent at the same time many times makes one job", "%d jobs, want %d", len(jobs), k.racers+1)
}

func raceCancel(k *jobKit) {
	for range 10 {
		jobs := k.enqueue(k.postings(8)...)
		var claimed, canceled atomic.Int64
		k.race(func(i int) error {
			if i%2 == 0 {
				got, err := k.store.Claim(k.ctx, k.ask(2, jobs...))
				claimed.Add(int64(len(got.Jobs)))
				return err
			}
			changed, err := k.store.Cancel(k.ctx, queue.Cancellation{Now: k.now, IDs: idsOfJobs(jobs[i-1 : i+1])})
			for _, j := range changed {
				if j.State == queue.Canceled {
					canceled.Add(1)
				}
			}
			return err
		})
		k.must(claimed.Load()+canceled.Load() <= 8, "a job is claimed or canceled while pending, never both", "%d claimed, %d canceled, of 8", claimed.Load(), canceled.Load())
		for _, j := range k.jobs(queue.Filter{IDs: idsOfJobs(jobs)}) {
			k.must(j.State != queue.Canceled || j.Attempt == 0, "a job canceled while pending was never handed out", "%+v", j)
		}
		k.cancel("", jobs...)
	}
}

func raceReap(k *jobKit) {
	for range 20 {
		p, _ := k.lose(1)
		var alive, reaped atomic.Bool
		k.race(func(i int) error {
			if i%2 == 0 {
				_, err := k.store.Heartbeat(k.ctx, queue.Heartbeat{Process: p.ID, Name: "test", Now: k.now})
				alive.Store(alive.Load() || err == nil)
				if errors.Is(err, queue.ErrProcessLost) {
					err = nil
				}
				return err
			}
			answer, err := k.store.Reap(k.ctx, queue.ReapRequest{Now: k.now, Process: p.ID, Heartbeats: p.Heartbeats, Limit: 1})
			if len(answer.Jobs) > 0 {
				reaped.Store(true)
			}
			return err
		})
		k.must(alive.Load() != reaped.Load(), "a process either sends its heartbeat in time or is lost, never both and never neither", "heartbeat accepted %v, reaped %v", alive.Load(), reaped.Load())
	}
}

func raceRequeue(k *jobKit) {
	jobs := k.enqueue(k.postings(20)...)
	processes := k.register()
	var fences sync.Map
	k.race(func(i int) error {
		for range 15 {
			ask := k.ask(3, jobs...)
			ask.Process = processes[i]
			claimed, err := k.store.Claim(k.ctx, ask)
			if err != nil {
				return err
			}
			for _, j := range claimed.Jobs {
				if _, twice := fences.LoadOrStore(j.Lease(), i); twice {
					return errors.New("broken rule: a fence was given twice")
				}
				end := queue.End{Handout: k.handout(j), Outcome: queue.OutcomeRequeued, Process: processes[i]}
				answers, err := k.store.End(k.ctx, k.now, []queue.End{end})
				if err != nil || answers[0].Err != nil {
					return errors.Join(err, answers[0].Err)
				}
			}
		}
		return nil
	})
	k.must(len(k.claim(99, jobs...)) == 20, "requeued jobs are all there in the end", "not all of 20")
}
