package forecast

import (
	"iter"
	"runtime"
	"slices"
	"sync"
	"time"
)

// processors is how many goroutines work, where n are asked for.
func processors(n int) int {
	const enough = 1024 // more goroutines cost memory and bring nothing
	if n <= 0 {
		return runtime.GOMAXPROCS(0)
	}
	return min(n, enough)
}

// parallel calls do for every value of a sequence, from n goroutines at once.
func parallel[T any](all iter.Seq[T], n int, do func(T)) {
	const batch = 64
	batches := make(chan []T)
	var g sync.WaitGroup
	defer g.Wait()
	defer close(batches)
	for range n {
		g.Go(func() {
			for b := range batches {
				for _, v := range b {
					do(v)
				}
			}
		})
	}
	var next []T
	for v := range all {
		if next = append(next, v); len(next) == batch {
			batches <- next
			next = nil
		}
	}
	batches <- next
}

// trial is one candidate's run. Its sums are of whole numbers, so that the order of the members does not matter.
type trial struct {
	candidate   Candidate
	from, until time.Time
	a           Assumptions
	series      *series

	mu    sync.Mutex
	total tally
}

// tally is what is counted; see [Result].
type tally struct {
	workspaces, sessions, cold, starting, first, interrupted int
	builds, failed, dormancies, deletions, returns, woken    int
	reminders, stuck                                         int
	// In microseconds: the hours of a large fleet do not fit into a Duration.
	ran, always, used, waited int64
	claims                    []claim
}

func (t *trial) live(m Member) {
	r := newResident(t, m)
	if !r.born.Before(t.until) {
		return
	}
	r.live()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total.plus(&r.tally)
}

func (t *tally) plus(o *tally) {
	t.workspaces += o.workspaces
	t.sessions += o.sessions
	t.cold += o.cold
	t.starting += o.starting
	t.first += o.first
	t.interrupted += o.interrupted
	t.builds += o.builds
	t.failed += o.failed
	t.dormancies += o.dormancies
	t.deletions += o.deletions
	t.returns += o.returns
	t.woken += o.woken
	t.reminders += o.reminders
	t.stuck += o.stuck
	t.ran += o.ran
	t.always += o.always
	t.used += o.used
	t.waited += o.waited
	t.claims = append(t.claims, o.claims...)
}

func (t *trial) result(c *SimulateConfig) Result {
	n := &t.total
	r := Result{
		Name: t.candidate.Name, Workspaces: n.workspaces,
		Hours: hoursOf(n.ran), AlwaysHours: hoursOf(n.always), UsedHours: hoursOf(n.used), WaitedHours: hoursOf(n.waited),
		Sessions: n.sessions, Cold: n.cold, Starting: n.starting, First: n.first, Interrupted: n.interrupted,
		Builds: n.builds, Failed: n.failed, Dormancies: n.dormancies, Deletions: n.deletions, Returns: n.returns,
		Woken: n.woken, Reminders: n.reminders, Stuck: n.stuck, ByHour: t.series.hours(),
	}
	for m := range t.series.starts {
		if builds := int(t.series.starts[m] + t.series.stops[m]); builds > r.Herd {
			r.Herd, r.HerdAt = builds, t.from.Add(time.Duration(m)*time.Minute)
		}
	}
	if t.candidate.Pool != nil {
		t.pool(&r)
	}
	r.Cost = (r.Hours+r.PoolHours)*c.HourCost + float64(r.Builds)*c.BuildCost
	return r
}

func hoursOf(micros int64) float64 { return float64(micros) / 3600e6 }

// pool serves the claims of all workspaces in the order of time.
func (t *trial) pool(r *Result) {
	slices.SortFunc(t.total.claims, claim.compare)
	p := newPool(t.candidate.Pool, t.from)
	for _, c := range t.total.claims {
		if p.claim(c) {
			r.Hits++
			r.WaitedHours -= c.waited.Hours()
			if c.first {
				r.FirstHits++
			}
		}
	}
	p.advance(t.until)
	r.Claims, r.PoolHours = len(t.total.claims), p.idle.Hours()
}
