package acquirer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/store/memory"
)

// never keeps the backup and the looks of joining workers out of a measurement.
const never = 1000 * time.Hour

var wakeUpsOnly = acquirertest.WakeUpsOnly(quartz.NewReal())

type inMemory struct{ r *figure.Recorder }

func memoryFigures(ctx context.Context, r *figure.Recorder) error {
	m := inMemory{r}
	return runParts(ctx, r, []part{
		{[]string{"T8"}, m.lookup},
		{[]string{"T14"}, m.lostWakeUps},
		{[]string{"T16"}, m.emptyProbes},
		{[]string{"T17"}, m.requeue},
		{[]string{"T18"}, m.trailingEdge},
	})
}

// lookup is T8: from a posting to the domain that shall claim, with one able domain among many. The claim itself never
// comes back, so that only the look-up is measured.
func (m inMemory) lookup(ctx context.Context) error {
	few, err := m.lookupAmong(ctx, 10)
	if err != nil {
		return err
	}
	many, err := m.lookupAmong(ctx, 10_000)
	if err != nil {
		return err
	}
	note := fmt.Sprintf("a posting among 10 domains %s, among 10,000, a thousand of them of its organization, %s", few, many)
	m.r.AtMost(1000, "acquirer/T8/time", float64(many.Nanoseconds()), "ns", note)
	m.r.AtMost(2, "acquirer/T8", ratio(many, few), "x", note)
	return nil
}

func (m inMemory) lookupAmong(ctx context.Context, domains int) (time.Duration, error) {
	store := acquirertest.Wrap(memory.NewJobs())
	a, stop, err := running(ctx, store, nil, acquirer.Config{Backup: never, Poll: never, Timeout: never, Clock: wakeUpsOnly})
	if err != nil {
		return 0, err
	}
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const each = 1000 // domains of an organization; an acquirer takes no more than some
	org := uuid.New()
	refused := make(chan error, domains)
	for i := range domains {
		of := org
		if i >= each {
			of = uuid.NewSHA1(org, []byte{byte(i / each)})
		}
		go func() {
			_, err := a.AcquireJob(ctx, request(of, map[string]string{"only": fmt.Sprint(i)}))
			refused <- err
		}()
	}
	for a.Stats().Waiting < domains {
		select {
		case err := <-refused:
			return 0, err
		case <-time.After(time.Millisecond):
		}
	}
	store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
		if v != acquirertest.Claim {
			return acquirertest.Fault{}
		}
		return acquirertest.Fault{Before: func(context.Context) { <-ctx.Done() }}
	})
	job, err := posting(org, map[string]string{"only": "7"}).Job(time.Now())
	if err != nil {
		return 0, err
	}
	const rounds, postings = 15, 20_000
	var took []time.Duration
	for range rounds {
		begun := time.Now()
		for range postings {
			a.Announce(job)
		}
		took = append(took, time.Since(begun)/postings)
	}
	return meter.Median(took), nil
}

// lostWakeUps is T14: short histories in which a wake-up could get lost. Nothing but wake-ups hands out anything here.
func (m inMemory) lostWakeUps(ctx context.Context) error {
	const trials = 10_000
	a, stop, err := running(ctx, memory.NewJobs(), nil, acquirer.Config{Backup: never, Poll: never, Clock: wakeUpsOnly})
	if err != nil {
		return err
	}
	defer stop()
	lost := 0
	for i := range trials {
		ok, err := m.trial(ctx, a, i%4)
		if err != nil {
			return err
		}
		if !ok {
			lost++
		}
	}
	m.r.AtMost(0, "acquirer/T14", float64(lost), "lost", fmt.Sprintf("of %d trials: tagged domains beside the right one, another organization, a caller that leaves with another job, a woken caller that is canceled", trials))
	return nil
}

// trial reports whether everybody was served who can be.
func (m inMemory) trial(ctx context.Context, a *acquirer.Acquirer, kind int) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	org := uuid.New()
	x, both := map[string]string{"x": "1"}, map[string]string{"x": "1", "y": "1"}
	wanted := make(chan error, 2)
	wait := func(ctx context.Context, r queue.Request, out chan<- error) {
		go func() {
			job, err := a.AcquireJob(ctx, r)
			if err == nil {
				_, err = a.End(context.WithoutCancel(ctx), queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded})
			}
			out <- err
		}()
	}
	ignored := make(chan error, 16)
	post := func(tags map[string]string) error {
		_, err := a.Enqueue(ctx, posting(org, tags))
		return err
	}
	switch kind {
	case 0:
		for i := range rand.IntN(10) {
			wait(ctx, request(org, map[string]string{"only": fmt.Sprint(i)}), ignored)
		}
		wait(ctx, request(org, nil), wanted)
		wanted <- post(nil)
	case 1:
		wait(ctx, request(uuid.New(), nil), ignored)
		wait(ctx, request(org, nil), wanted)
		wanted <- post(nil)
	case 2: // there is a job for each, whichever the first one takes
		wait(ctx, request(org, both), wanted)
		go func() { ignored <- post(map[string]string{"y": "1"}) }()
		wait(ctx, request(org, x), wanted)
		if err := errors.Join(post(x), post(x)); err != nil {
			return false, err
		}
	case 3: // the first may be served or canceled; then a second job makes sure that the other one's is not missing
		leaving, leave := context.WithCancel(ctx)
		first := make(chan error, 1)
		wait(leaving, request(org, x), first)
		wait(ctx, request(org, both), wanted)
		go leave()
		if err := post(x); err != nil {
			return false, err
		}
		if err := <-first; err == nil {
			if err := post(x); err != nil {
				return false, err
			}
		}
		wanted <- nil
	}
	for range 2 {
		if err := <-wanted; errors.Is(err, context.DeadlineExceeded) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return true, nil
}

// emptyProbes is T16: what other replicas ask in vain when one job is posted.
func (m inMemory) emptyProbes(ctx context.Context) error {
	const replicas, postings = 5, 100
	store, bus := acquirertest.Wrap(memory.NewJobs()), &memory.Pubsub{}
	cfg := acquirer.Config{Backup: never, Clock: wakeUpsOnly, Heartbeat: 100 * time.Millisecond, Lease: time.Minute}
	org := uuid.New()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range replicas {
		a, stop, err := running(ctx, store, bus, cfg)
		if err != nil {
			return err
		}
		defer stop()
		if _, err := waiting(ctx, a, postings, request(org, nil)); err != nil {
			return err
		}
	}
	poster, stop, err := running(ctx, store, bus, cfg)
	if err != nil {
		return err
	}
	defer stop()
	time.Sleep(300 * time.Millisecond) // everybody has heard of everybody
	before := len(store.Claims())
	for range postings {
		if _, err := poster.Enqueue(ctx, posting(org, nil)); err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond)
	empty, got := 0, 0
	for _, c := range store.Claims()[before:] {
		if got += c.Got; c.Got == 0 {
			empty++
		}
	}
	if got != postings {
		return fmt.Errorf("%d of %d jobs handed out", got, postings)
	}
	m.r.AtMost(0.2, "acquirer/T16", float64(empty)/postings/replicas, "probes",
		fmt.Sprintf("%d empty probes for %d postings and %d idle able replicas; without turns %d", empty, postings, replicas, postings*(replicas-1)))
	return nil
}

// requeue is T17, with a short lease: from the death of a process to its job in other hands.
func (m inMemory) requeue(ctx context.Context) error {
	cfg := acquirer.Config{
		Heartbeat: 200 * time.Millisecond, Lease: 600 * time.Millisecond,
		Lost: map[string]acquirer.LostPolicy{"": acquirer.RequeueLost(99, 0)},
	}
	org := uuid.New()
	inner, bus := memory.NewJobs(), &memory.Pubsub{}
	survivor, stop, err := running(ctx, inner, bus, cfg)
	if err != nil {
		return err
	}
	defer stop()
	var took []time.Duration
	for range 3 {
		connection := acquirertest.Wrap(inner)
		victim, kill, err := running(ctx, connection, bus, cfg)
		if err != nil {
			return err
		}
		defer kill()
		if _, err := victim.Enqueue(ctx, posting(org, nil)); err != nil {
			return err
		}
		if _, err := victim.AcquireJob(ctx, request(org, nil)); err != nil {
			return err
		}
		time.Sleep(2 * cfg.Heartbeat)
		connection.Choose(func(acquirertest.Verb) acquirertest.Fault { return acquirertest.Fault{Down: true} })
		begun := time.Now()
		job, err := survivor.AcquireJob(ctx, request(org, nil))
		if err != nil {
			return err
		}
		took = append(took, time.Since(begun))
		if _, err := survivor.End(ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
			return err
		}
	}
	m.r.AtMost(1.05, "acquirer/T17", ratio(meter.Median(took), cfg.Lease+cfg.Heartbeat), "x",
		fmt.Sprintf("%s after the death, lease %s and one heartbeat of %s; 5 %% for the timers", meter.Median(took), cfg.Lease, cfg.Heartbeat))
	return nil
}

// trailingEdge is T18: two postings 20 ms apart, to a worker of another process.
func (m inMemory) trailingEdge(ctx context.Context) error {
	store, bus := memory.NewJobs(), &memory.Pubsub{}
	poster, stopPoster, err := running(ctx, store, bus, acquirer.Config{})
	if err != nil {
		return err
	}
	defer stopPoster()
	worker, stopWorker, err := running(ctx, store, bus, acquirer.Config{})
	if err != nil {
		return err
	}
	defer stopWorker()
	org := uuid.New()
	once := func(line <-chan served) (time.Duration, error) {
		begun := time.Now()
		if _, err := poster.Enqueue(ctx, posting(org, nil)); err != nil {
			return 0, err
		}
		s := <-line
		return s.at.Sub(begun), s.err
	}
	var lone, second []time.Duration
	for range 40 {
		line, err := waiting(ctx, worker, 3, request(org, nil))
		if err != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
		first, err := once(line)
		if err != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
		if _, err := once(line); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
		after, err := once(line)
		if err != nil {
			return err
		}
		lone, second = append(lone, first), append(second, after)
	}
	m.r.AtMost(1.5, "acquirer/T18", ratio(meter.Median(second), meter.Median(lone)), "x",
		fmt.Sprintf("the second of two postings 20 ms apart %s, a lone one %s; another process, in memory", meter.Median(second), meter.Median(lone)))
	return nil
}
