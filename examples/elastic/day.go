//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/workerpool"
)

// policy is what is kept warm.
type policy struct {
	name string
	warm []workerpool.Warm
}

func policies() []policy {
	office := workerpool.Hours{Days: schedule.DaysOf(1, 2, 3, 4, 5), From: 7*time.Hour + 30*time.Minute, To: 18 * time.Hour}
	return []policy{
		{name: "no floor"},
		{"floor of 12", []workerpool.Warm{{Floor: 12}}},
		{"floor of 1, by day 4 + 4 spare", []workerpool.Warm{{Floor: 1}, {Floor: 4, Spare: 4, During: office}}},
	}
}

// The day: a Monday, with workers that take three minutes to boot.
var (
	monday   = time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	bootTime = 3 * time.Minute
	step     = 5 * time.Second
	kind     = workerpool.InstanceType{Name: "vm", Price: 0.20, Room: workerpool.Resources{Slots: 2}}
	rules    = workerpool.Rules{
		BootTimeout: 10 * time.Minute, ProbeTimeout: 10 * time.Minute, ProbeInterval: time.Hour, BootInterval: time.Hour,
		ShutdownTimeout: time.Minute, KillInterval: time.Minute, TermTimeout: time.Hour,
	}
)

// posting is a job of the day.
type posting struct {
	id    workerpool.JobID
	at    time.Time
	takes time.Duration
}

// jobsAnHour is how many jobs come in each hour of the day.
var jobsAnHour = [24]int{2, 1, 1, 1, 1, 3, 8, 30, 90, 120, 110, 90, 50, 90, 110, 100, 80, 50, 25, 15, 10, 8, 5, 3}

// postings are the same for each policy.
func postings() []posting {
	r := rand.New(rand.NewPCG(2026, 11))
	var all []posting
	for hour, n := range jobsAnHour {
		for range n {
			at := monday.Add(time.Duration(hour)*time.Hour + time.Duration(r.IntN(3600))*time.Second)
			all = append(all, posting{at: at, takes: 90*time.Second + time.Duration(r.ExpFloat64()*float64(4*time.Minute))})
		}
	}
	slices.SortFunc(all, func(a, b posting) int { return a.at.Compare(b.at) })
	for i := range all {
		all[i].id = workerpool.JobID(fmt.Sprint("j", i))
	}
	return all
}

// replay is a day under a policy.
type replay struct {
	policy  policy
	limits  workerpool.Limits
	workers []workerpool.Worker
	ready   map[workerpool.InstanceID]time.Time
	ends    map[workerpool.JobID]time.Time
	takes   map[workerpool.JobID]time.Duration
	waiting []workerpool.Job

	waits      []time.Duration
	cost, idle float64
	created    int
	samples    []sample
}

// replay drives the pure core: the same plan and the same state machine that a pool runs, with an imagined provider.
func (p policy) replay() *replay {
	k := kind
	k.Warm = p.warm
	d := &replay{
		policy: p, ready: make(map[workerpool.InstanceID]time.Time), ends: make(map[workerpool.JobID]time.Time),
		takes: make(map[workerpool.JobID]time.Duration),
		limits: workerpool.Limits{
			Types: []workerpool.InstanceType{k}, MaxWorkers: 40, IdleTimeout: 5 * time.Minute, ScaleInDelay: 5 * time.Minute,
		},
	}
	all := postings()
	for now := monday; now.Before(monday.Add(24 * time.Hour)); now = now.Add(step) {
		for ; len(all) > 0 && !all[0].at.After(now); all = all[1:] {
			d.waiting = append(d.waiting, workerpool.Job{ID: all[0].id, Since: all[0].at})
			d.takes[all[0].id] = all[0].takes
		}
		d.advance(now)
		d.act(workerpool.Plan(d.waiting, d.workers, d.limits, now), now)
		d.count(now)
	}
	return d
}

// apply lets something happen to a worker.
func (d *replay) apply(i int, t workerpool.Trigger, now time.Time) {
	d.workers[i], _ = workerpool.Step(d.workers[i], t, rules, now)
}

// advance lets workers become ready and jobs end.
func (d *replay) advance(now time.Time) {
	for i := range d.workers {
		w := &d.workers[i]
		if w.State == workerpool.Booting && !now.Before(d.ready[w.ID]) {
			d.apply(i, workerpool.Probed{Begun: now, Boot: true, List: true}, now)
		}
		if w.State != workerpool.Running {
			continue
		}
		probe := workerpool.Probed{Begun: now, Boot: true, List: true}
		for _, j := range w.Jobs {
			probe.Jobs = append(probe.Jobs, workerpool.ListedJob{ID: j.ID, Ended: !now.Before(d.ends[j.ID])})
		}
		d.apply(i, probe, now)
		for _, l := range probe.Jobs {
			if l.Ended {
				d.apply(i, workerpool.JobRecorded{ID: l.ID}, now)
				d.apply(i, workerpool.JobForgotten{ID: l.ID}, now)
			}
		}
	}
}

// act carries a plan out.
func (d *replay) act(a workerpool.Actions, now time.Time) {
	started := make(map[workerpool.JobID]bool)
	for _, s := range a.Starts {
		j := d.waiting[s.Job]
		d.apply(s.Worker, workerpool.Assigned{ID: j.ID, Needs: workerpool.Resources{Slots: 1}}, now)
		d.apply(s.Worker, workerpool.StartReturned{ID: j.ID}, now)
		d.ends[j.ID] = now.Add(d.takes[j.ID])
		d.waits = append(d.waits, now.Sub(j.Since))
		started[j.ID] = true
	}
	for _, r := range a.Reservations {
		if r.Worker >= 0 {
			d.apply(r.Worker, workerpool.Reserved{}, now)
		}
	}
	for _, s := range a.Shutdowns {
		d.apply(s.Worker, workerpool.ShutdownAsked{Reason: s.Reason}, now)
	}
	d.workers = slices.DeleteFunc(d.workers, func(w workerpool.Worker) bool { return w.State == workerpool.Shutdown })
	for range a.Creates {
		d.created++
		id := workerpool.InstanceID(fmt.Sprintf("vm-%04d", d.created))
		w, _ := workerpool.Step(workerpool.NewPending("vm", workerpool.Secret{}, now), workerpool.Created{ID: id}, rules, now)
		d.workers, d.ready[id] = append(d.workers, w), now.Add(bootTime)
	}
	d.waiting = slices.DeleteFunc(d.waiting, func(j workerpool.Job) bool { return started[j.ID] })
}

// count adds up what the step costs.
func (d *replay) count(now time.Time) {
	s := sample{at: now.Sub(monday), waiting: len(d.waiting)}
	for i := range d.workers {
		switch d.workers[i].State {
		case workerpool.Booting:
			s.booting++
		case workerpool.Idle:
			s.idle++
		case workerpool.Running:
			s.running++
		}
	}
	d.cost += kind.Price * step.Hours() * float64(len(d.workers))
	d.idle += kind.Price * step.Hours() * float64(s.idle)
	s.cost = d.cost
	if s.at%time.Minute == 0 {
		d.samples = append(d.samples, s)
	}
}

func (d *replay) meanWait() time.Duration {
	sum := time.Duration(0)
	for _, w := range d.waits {
		sum += w
	}
	return sum / time.Duration(max(len(d.waits), 1))
}

// waitAt is the wait that a part of the jobs did not exceed.
func (d *replay) waitAt(part float64) time.Duration {
	sorted := slices.Sorted(slices.Values(d.waits))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}

func (d *replay) idleShare() float64 { return d.idle / d.cost }
