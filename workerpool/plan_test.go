package workerpool_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	. "github.com/dormouse-go/dormouse/workerpool"
)

func small() InstanceType {
	return InstanceType{Name: "small", ProviderType: "p.small", QuotaGroup: "p", Price: 1, Room: Resources{Slots: 1, CPU: 1000}}
}

func large() InstanceType {
	return InstanceType{Name: "large", ProviderType: "p.large", QuotaGroup: "p", Price: 3, Room: Resources{Slots: 4, CPU: 4000}, Labels: map[string]string{"disk": "ssd"}}
}

func limits(types ...InstanceType) Limits {
	return Limits{Types: types, IdleTimeout: time.Minute, PriceFactor: 10}
}

// worker makes one that has been in a state since some time before start.
func worker(id, typeName string, s State, since time.Duration, jobs ...JobID) Worker {
	w := Worker{ID: InstanceID(id), Type: typeName, State: s, CreatedAt: start.Add(-since), IdleSince: start.Add(-since)}
	for _, j := range jobs {
		w.Jobs = append(w.Jobs, WorkerJob{ID: j, Needs: oneSlot, Phase: Executing, AssignedAt: start, ReturnedAt: start})
	}
	return w
}

func job(id JobID, priority int) Job {
	return Job{ID: id, Priority: priority, Since: start, Needs: oneSlot}
}

// summary is what a plan says, in words.
func summary(a Actions, jobs []Job, workers []Worker) []string {
	var all []string
	for _, s := range a.Starts {
		all = append(all, fmt.Sprintf("start %s on %s", jobs[s.Job].ID, workers[s.Worker].ID))
	}
	for _, r := range a.Reservations {
		if r.Worker >= 0 {
			all = append(all, fmt.Sprintf("%s waits for %s", jobs[r.Job].ID, workers[r.Worker].ID))
		} else {
			all = append(all, fmt.Sprintf("%s waits for new %d", jobs[r.Job].ID, r.Create))
		}
	}
	for _, c := range a.Creates {
		all = append(all, fmt.Sprintf("create %s for %s", c.Type, c.Reason))
	}
	for _, s := range a.Shutdowns {
		all = append(all, fmt.Sprintf("shut down %s for %s", workers[s.Worker].ID, s.Reason))
	}
	for _, k := range a.Keeps {
		all = append(all, fmt.Sprintf("keep %s for %s", workers[k.Worker].ID, k.Reason))
	}
	for _, w := range a.Waits {
		all = append(all, fmt.Sprintf("%s waits because of %s", jobs[w.Job].ID, w.Reason))
	}
	return all
}

func TestPlan(t *testing.T) {
	held := func(w Worker) Worker { w.Behavior.Idle = BehaviorHold; return w }
	with := func(change func(*Limits), types ...InstanceType) Limits {
		l := limits(types...)
		change(&l)
		return l
	}
	warm := func(w Warm) InstanceType { t := small(); t.Warm = []Warm{w}; return t }
	pause := func(r Reason, allow int) func(*Limits) {
		return func(l *Limits) {
			l.Pauses = []Pause{{Reason: r, Types: []string{"small"}, Allow: allow, Until: start.Add(time.Hour)}}
		}
	}
	tests := []struct {
		name    string
		jobs    []Job
		workers []Worker
		limits  Limits
		want    []string
	}{
		{
			"an idle worker takes the job",
			[]Job{job("a", 0)},
			[]Worker{worker("i", "small", Idle, 0)},
			limits(small()),
			[]string{"start a on i", "keep i for busy"},
		},
		{
			"the worker used last is used again",
			[]Job{job("a", 0)},
			[]Worker{worker("old", "small", Idle, 50*time.Second), worker("new", "small", Idle, 10*time.Second)},
			limits(small()),
			[]string{"start a on new", "keep old for minimum_idle", "keep new for busy"},
		},
		{
			"the tightest room first",
			[]Job{job("a", 0)},
			[]Worker{worker("idle", "large", Idle, 0), worker("half", "large", Running, 0, "x", "y"), worker("tight", "large", Running, 0, "p", "q", "r")},
			limits(large()),
			[]string{"start a on tight", "keep idle for minimum_idle", "keep half for busy", "keep tight for busy"},
		},
		{
			"ready before booting, however tight",
			[]Job{job("a", 0)},
			[]Worker{worker("boots", "small", Booting, 0), worker("idle", "large", Idle, 0)},
			limits(small(), large()),
			[]string{"start a on idle", "keep boots for booting", "keep idle for busy"},
		},
		{
			"booting before a new one",
			[]Job{job("a", 0)},
			[]Worker{worker("boots", "small", Booting, 2*time.Minute)},
			limits(small()),
			[]string{"a waits for boots", "keep boots for reserved"},
		},
		{
			"several jobs on one new worker",
			[]Job{job("a", 0), job("b", 0), job("c", 0), job("d", 0), job("e", 0)},
			nil, limits(large()),
			[]string{"a waits for new 0", "b waits for new 0", "c waits for new 0", "d waits for new 0", "e waits for new 1", "create large for job", "create large for job"},
		},
		{
			"the cheapest type that fits",
			[]Job{job("a", 0), {ID: "big", Since: start, Needs: Resources{Slots: 1, CPU: 2000}}},
			nil, limits(large(), small()),
			[]string{"a waits for new 0", "big waits for new 1", "create small for job", "create large for job"},
		},
		{
			"not one that is much dearer",
			[]Job{job("a", 0)},
			[]Worker{worker("dear", "large", Idle, 0)},
			with(func(l *Limits) { l.PriceFactor = 2; l.Types[0].Max = 1 }, small(), large()),
			[]string{"a waits for new 0", "create small for job", "keep dear for minimum_idle"},
		},
		{
			"labels",
			[]Job{{ID: "a", Since: start, Requires: map[string]string{"disk": "ssd"}}},
			[]Worker{worker("i", "small", Idle, 0)},
			limits(small(), large()),
			[]string{"a waits for new 0", "create large for job", "keep i for minimum_idle"},
		},
		{"no type is large enough", []Job{{ID: "a", Needs: Resources{GPUs: 1}}}, nil, limits(small()), []string{"a waits because of no_type"}},
		{
			"priority decides who gets the last worker",
			[]Job{job("a", 1), job("b", 5)},
			[]Worker{worker("i", "small", Idle, 0)},
			with(func(l *Limits) { l.MaxWorkers = 1 }, small()),
			[]string{"start b on i", "keep i for busy", "a waits because of max_workers"},
		},
		{
			"age decides at one priority",
			[]Job{{ID: "a", Since: start}, {ID: "b", Since: start.Add(-time.Second)}},
			[]Worker{worker("i", "small", Idle, 0)},
			with(func(l *Limits) { l.MaxWorkers = 1 }, small()),
			[]string{"start b on i", "keep i for busy", "a waits because of max_workers"},
		},
		{
			"a job limit",
			[]Job{job("a", 0)},
			[]Worker{worker("i", "small", Idle, 0), worker("r", "small", Running, 0, "x")},
			with(func(l *Limits) { l.MaxJobs = 1 }, small()),
			[]string{"keep i for minimum_idle", "keep r for busy", "a waits because of job_limit"},
		},
		{
			"held and drained workers get nothing",
			[]Job{job("a", 0)},
			[]Worker{held(worker("h", "small", Idle, time.Hour))},
			with(func(l *Limits) { l.MaxWorkers = 1 }, small()),
			[]string{"keep h for held", "a waits because of max_workers"},
		},
		{
			"a job of unknown needs leaves no room",
			[]Job{job("a", 0)},
			[]Worker{func() Worker {
				w := worker("r", "large", Running, 0, "x")
				w.Jobs[0].Needs = Resources{}
				return w
			}()},
			with(func(l *Limits) { l.MaxWorkers = 1 }, large()),
			[]string{"keep r for busy", "a waits because of max_workers"},
		},
		{
			"idle for long enough, the longest first", nil,
			[]Worker{worker("a", "small", Idle, time.Minute), worker("b", "small", Idle, 2*time.Minute), worker("c", "small", Idle, 30*time.Second)},
			limits(small()),
			[]string{"shut down b for idle", "shut down a for idle", "keep c for minimum_idle"},
		},
		{
			"one that boots for nobody, the youngest first", nil,
			[]Worker{worker("old", "small", Booting, 3*time.Minute), worker("young", "small", Booting, 2*time.Minute)},
			limits(warm(Warm{Floor: 1})),
			[]string{"shut down young for unneeded", "keep old for floor"},
		},
		{"an unknown one is waited for", nil, []Worker{worker("u", "small", Unknown, time.Hour)}, limits(small()), []string{"keep u for unknown"}},
		{
			"a floor", nil,
			[]Worker{worker("a", "small", Idle, time.Hour)},
			limits(warm(Warm{Floor: 2})),
			[]string{"create small for floor", "keep a for floor"},
		},
		{
			"spare slots count what the waiting jobs take",
			[]Job{job("a", 0)},
			[]Worker{worker("i", "small", Idle, time.Hour)},
			limits(warm(Warm{Spare: 1})),
			[]string{"start a on i", "create small for spare", "keep i for busy"},
		},
		{
			"and what a new one gives",
			[]Job{job("a", 0)},
			nil, limits(warm(Warm{Spare: 1})),
			[]string{"a waits for new 0", "create small for job", "create small for spare"},
		},
		{
			"and what one that boots gives",
			[]Job{job("a", 0)},
			[]Worker{worker("i", "small", Booting, time.Hour)},
			limits(warm(Warm{Spare: 1})),
			[]string{"a waits for i", "create small for spare", "keep i for reserved"},
		},
		{
			"a floor outside its hours", nil,
			[]Worker{worker("a", "small", Idle, time.Hour)},
			limits(warm(Warm{Floor: 2, During: Hours{From: 10 * time.Hour, To: 18 * time.Hour}})),
			[]string{"shut down a for idle"},
		},
		{"a floor in its hours", nil, nil, limits(warm(Warm{Floor: 1, During: Hours{From: 9 * time.Hour, To: 18 * time.Hour}})), []string{"create small for floor"}},
		{
			"a floor never takes a job's place",
			[]Job{{ID: "a", Since: start, Needs: Resources{CPU: 3000}}},
			nil,
			with(func(l *Limits) { l.MaxWorkers = 1 }, warm(Warm{Floor: 1}), large()),
			[]string{"a waits for new 0", "create large for job"},
		},
		{
			"none is shut down just after one was created", nil,
			[]Worker{worker("i", "small", Idle, 2*time.Minute), worker("r", "small", Running, 10*time.Second, "x")},
			with(func(l *Limits) { l.ScaleInDelay = time.Minute }, small()),
			[]string{"keep i for scale_in_delay", "keep r for busy"},
		},
		{"a pause", []Job{job("a", 0)}, nil, with(pause(ReasonQuota, 0), small()), []string{"a waits because of quota"}},
		{"another type instead", []Job{job("a", 0)}, nil, with(pause(ReasonCapacity, 0), small(), large()), []string{"a waits for new 0", "create large for job"}},
		{
			"a trial",
			[]Job{job("a", 0), job("b", 0)},
			nil, with(pause(ReasonQuota, 1), small()),
			[]string{"a waits for new 0", "create small for job", "b waits because of quota"},
		},
		{
			"a budget",
			[]Job{job("a", 0), job("b", 0)},
			nil, with(func(l *Limits) { l.MaxPrice = 1.5 }, small()),
			[]string{"a waits for new 0", "create small for job", "b waits because of max_price"},
		},
		{
			"a limit of the type",
			[]Job{job("a", 0)},
			[]Worker{worker("p", "small", Shutdown, 0)},
			with(func(l *Limits) { l.Types[0].Max = 1 }, small()),
			[]string{"keep p for ", "a waits because of type_max"},
		},
		{
			"a limit of creates in flight",
			[]Job{job("a", 0), job("b", 0)},
			nil, with(func(l *Limits) { l.MaxCreating = 1 }, small()),
			[]string{"a waits for new 0", "create small for job", "b waits because of max_creating"},
		},
		{
			"room is made at the limit",
			[]Job{{ID: "big", Since: start, Needs: Resources{CPU: 3000}}},
			[]Worker{worker("i", "small", Idle, 0), worker("j", "small", Idle, time.Second)},
			with(func(l *Limits) { l.MaxWorkers = 2 }, small(), large()),
			[]string{"shut down j for make_room", "keep i for minimum_idle", "big waits because of max_workers"},
		},
		{
			"and only once",
			[]Job{{ID: "big", Since: start, Needs: Resources{CPU: 3000}}},
			[]Worker{worker("i", "small", Idle, 0), worker("j", "small", Shutdown, time.Second)},
			with(func(l *Limits) { l.MaxWorkers = 2 }, small(), large()),
			[]string{"keep i for minimum_idle", "keep j for ", "big waits because of max_workers"},
		},
		{
			"but for each job",
			[]Job{{ID: "big", Since: start, Needs: Resources{CPU: 3000}}, {ID: "huge", Since: start, Needs: Resources{CPU: 4000}}},
			[]Worker{worker("i", "small", Idle, 0), worker("k", "small", Idle, 0), worker("j", "small", Shutdown, time.Second)},
			with(func(l *Limits) { l.MaxWorkers = 3 }, small(), large()),
			[]string{"shut down i for make_room", "keep k for minimum_idle", "keep j for ", "big waits because of max_workers", "huge waits because of max_workers"},
		},
		{
			"at a quota only of its own group",
			[]Job{{ID: "big", Since: start, Needs: Resources{CPU: 3000}}},
			[]Worker{worker("o", "other", Idle, time.Second), worker("i", "small", Idle, 0)},
			with(func(l *Limits) {
				l.Types[2].Name, l.Types[2].QuotaGroup = "other", "o"
				l.Pauses = []Pause{{Reason: ReasonQuota, Types: []string{"small", "large"}, Until: start.Add(time.Hour)}}
			}, small(), large(), small()),
			[]string{"shut down i for make_room", "keep o for minimum_idle", "big waits because of quota"},
		},
		{
			"at a quota only once",
			[]Job{{ID: "big", Since: start, Needs: Resources{CPU: 3000}}},
			[]Worker{worker("i", "small", Idle, 0), worker("j", "small", Shutdown, time.Second)},
			with(func(l *Limits) {
				l.Pauses = []Pause{{Reason: ReasonQuota, Types: []string{"small", "large"}, Until: start.Add(time.Hour)}}
			}, small(), large()),
			[]string{"keep i for minimum_idle", "keep j for ", "big waits because of quota"},
		},
		{
			"at a quota for each job",
			[]Job{{ID: "big", Since: start, Needs: Resources{CPU: 3000}}, {ID: "huge", Since: start, Needs: Resources{CPU: 4000}}},
			[]Worker{worker("i", "small", Idle, 0), worker("k", "small", Idle, 0), worker("j", "small", Shutdown, time.Second)},
			with(func(l *Limits) {
				l.Pauses = []Pause{{Reason: ReasonQuota, Types: []string{"small", "large"}, Until: start.Add(time.Hour)}}
			}, small(), large()),
			[]string{"shut down i for make_room", "keep k for minimum_idle", "keep j for ", "big waits because of quota", "huge waits because of quota"},
		},
		{
			"a price factor of one",
			[]Job{job("a", 0)},
			[]Worker{worker("i", "large", Idle, 0)},
			with(func(l *Limits) { l.PriceFactor = 1 }, small(), large()),
			[]string{"a waits for new 0", "create small for job", "keep i for minimum_idle"},
		},
		{
			"a type that is configured no more", nil,
			[]Worker{worker("x", "old", Idle, 0), worker("y", "old", Running, 0, "j")},
			limits(small()),
			[]string{"shut down x for type_removed", "keep y for busy"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := test.limits.Validate(); err != nil {
				t.Fatal(err)
			}
			got := summary(Plan(test.jobs, test.workers, test.limits, start), test.jobs, test.workers)
			slices.Sort(got)
			want := slices.Sorted(slices.Values(test.want))
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// Victims are taken in the order of a strategy of the host's.
func TestVictimStrategy(t *testing.T) {
	l := limits(small())
	l.Types[0].Warm = []Warm{{Floor: 1}}
	l.Victim = func(a, b *Worker) int { return -DefaultVictim(a, b) }
	workers := []Worker{worker("a", "small", Idle, time.Hour), worker("b", "small", Idle, 2*time.Hour)}
	if a := Plan(nil, workers, l, start); len(a.Shutdowns) != 1 || workers[a.Shutdowns[0].Worker].ID != "a" {
		t.Errorf("shut down %+v", a.Shutdowns)
	}
}

func TestHours(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	night := Hours{Days: 1 << 0, From: 22 * time.Hour, To: 6 * time.Hour, Location: berlin} // Monday night
	for at, want := range map[string]bool{
		"2026-11-02T20:59:00Z": false, "2026-11-02T21:00:00Z": true, "2026-11-03T04:59:00Z": true, "2026-11-03T05:00:00Z": false,
		"2026-11-03T22:00:00Z": false, "2026-11-02T01:00:00Z": false,
	} {
		instant, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := night.Contains(instant); got != want {
			t.Errorf("%s: %v", at, got)
		}
		if monday := (Hours{Days: 1 << 0}); monday.Contains(instant) != (instant.Weekday() == time.Monday) {
			t.Errorf("%s: all of Monday", at)
		}
		if always := (Hours{From: 5 * time.Hour, To: 5 * time.Hour}); !always.Contains(instant) {
			t.Errorf("%s: from five to five", at)
		}
		if early := (Hours{To: 5 * time.Hour}); early.Contains(instant) != (instant.Hour() < 5) {
			t.Errorf("%s: before five", at)
		}
	}
}

// Random pools: what no plan may do.
func TestRandomPlans(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 2))
		jobs, workers, l := randomPool(r)
		if err := l.Validate(); err != nil {
			t.Fatal(err)
		}
		a := Plan(jobs, workers, l, start)
		if err := checkPlan(a, jobs, workers, l); err != nil {
			t.Fatalf("seed %d: %v\n%q", seed, err, summary(a, jobs, workers))
		}
		if err := checkNext(r, a, jobs, workers, l); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func randomPool(r *rand.Rand) ([]Job, []Worker, Limits) {
	types := []InstanceType{small(), large(), {Name: "mem", QuotaGroup: "m", Price: 2, Room: Resources{Slots: 3, CPU: 500, Memory: 100}}}
	types = types[:1+r.IntN(3)]
	l := limits(types...)
	l.MaxWorkers, l.MaxCreating, l.MaxJobs, l.MaxPrice = r.IntN(12), r.IntN(5), r.IntN(15), float64(r.IntN(25))
	l.ScaleInDelay = time.Duration(r.IntN(3)) * 30 * time.Second
	l.PriceFactor = 1 + 3*r.Float64()
	for i := range types {
		l.Types[i].Max = r.IntN(6)
		if r.IntN(2) == 0 {
			most := min(cmp.Or(l.Types[i].Max, 9), cmp.Or(l.MaxWorkers, 9))
			l.Types[i].Warm = []Warm{
				{Floor: min(r.IntN(3), most), Spare: min(r.IntN(5), most)},
				{Floor: min(r.IntN(4), most), During: Hours{From: 9*time.Hour + time.Minute, To: 10 * time.Hour}},
			}
		}
		if r.IntN(3) == 0 {
			l.Pauses = append(l.Pauses, Pause{Types: []string{types[i].Name}, Reason: ReasonQuota, Allow: r.IntN(3), Until: start.Add(time.Duration(r.IntN(60)) * time.Second)})
		}
	}
	var jobs []Job
	for i := range r.IntN(15) {
		j := job(JobID(fmt.Sprint("j", i)), r.IntN(3))
		j.Needs = Resources{Slots: int64(r.IntN(3)), CPU: int64(r.IntN(3)) * 400, Memory: int64(r.IntN(2)) * 40 * int64(r.IntN(2))}
		j.Since = start.Add(-time.Duration(r.IntN(100)) * time.Second)
		if r.IntN(5) == 0 {
			j.Requires = map[string]string{"disk": "ssd"}
		}
		jobs = append(jobs, j)
	}
	var workers []Worker
	for i := range r.IntN(12) {
		s := State(r.IntN(int(Gone) + 1))
		w := worker(fmt.Sprint("i", i), []string{"small", "large", "mem", "old"}[r.IntN(4)], s, time.Duration(r.IntN(150))*time.Second)
		w.Behavior.Idle = IdleBehavior(max(0, r.IntN(6)-3))
		if s == Running || s == Unknown && r.IntN(2) == 0 {
			w.Jobs = []WorkerJob{{ID: JobID(fmt.Sprint("r", i)), Needs: Resources{Slots: int64(r.IntN(2))}, Phase: JobPhase(r.IntN(3))}}
		}
		workers = append(workers, w)
	}
	return jobs, workers, l
}

func checkPlan(a Actions, jobs []Job, workers []Worker, l Limits) error {
	types := make(map[string]InstanceType)
	for _, t := range l.Types {
		types[t.Name] = t
	}
	placed := make(map[int]int)
	free := make([]Resources, len(workers))
	for i := range workers {
		free[i] = workers[i].Free(types[workers[i].Type].Room)
	}
	fresh := make([]Resources, len(a.Creates))
	for i, c := range a.Creates {
		fresh[i] = types[c.Type].Room
	}
	put := func(room *Resources, j int, typeName string) error {
		placed[j]++
		need := jobs[j].Needs
		need.Slots = max(need.Slots, 1)
		if !need.Fit(*room) {
			return fmt.Errorf("%s does not fit", jobs[j].ID)
		}
		for k, v := range jobs[j].Requires {
			if types[typeName].Labels[k] != v {
				return fmt.Errorf("%s lacks a label", jobs[j].ID)
			}
		}
		*room = room.Minus(need)
		return nil
	}
	needed := make(map[int]bool)
	for _, s := range a.Starts {
		w := workers[s.Worker]
		needed[s.Worker] = true
		if w.State != Idle && w.State != Running || w.Behavior.Idle != BehaviorRun {
			return fmt.Errorf("a job for %s, %s", w.State, w.Behavior.Idle)
		}
		if err := put(&free[s.Worker], s.Job, w.Type); err != nil {
			return err
		}
	}
	for _, v := range a.Reservations {
		var err error
		if v.Worker >= 0 {
			w := workers[v.Worker]
			needed[v.Worker] = true
			if w.State > Booting || w.Behavior.Idle != BehaviorRun {
				return fmt.Errorf("a reservation of %s, %s", w.State, w.Behavior.Idle)
			}
			err = put(&free[v.Worker], v.Job, w.Type)
		} else {
			err = put(&fresh[v.Create], v.Job, a.Creates[v.Create].Type)
		}
		if err != nil {
			return err
		}
	}
	for _, w := range a.Waits {
		placed[w.Job]++
		if w.Reason == "" {
			return fmt.Errorf("a wait without a reason")
		}
	}
	for i := range jobs {
		if placed[i] != 1 {
			return fmt.Errorf("%s is placed %d times", jobs[i].ID, placed[i])
		}
	}
	if err := checkLimits(a, workers, l, types); err != nil {
		return err
	}
	return checkVerdicts(a, workers, l, needed)
}

func checkLimits(a Actions, workers []Worker, l Limits, types map[string]InstanceType) error {
	total, creating, active, price := 0, 0, 0, 0.0
	of := make(map[string]int)
	for _, w := range workers {
		if w.State == Gone {
			continue
		}
		total++
		of[w.Type]++
		price += types[w.Type].Price
		if w.State == Pending {
			creating++
		}
		for _, j := range w.Jobs {
			if j.Phase <= Executing {
				active++
			}
		}
	}
	created := make(map[string]int)
	for _, c := range a.Creates {
		total, creating, price = total+1, creating+1, price+types[c.Type].Price
		of[c.Type]++
		created[c.Type]++
		if m := types[c.Type].Max; m > 0 && of[c.Type] > m {
			return fmt.Errorf("%d workers of %s", of[c.Type], c.Type)
		}
	}
	if len(a.Creates) > 0 && (l.MaxWorkers > 0 && total > l.MaxWorkers || l.MaxCreating > 0 && creating > l.MaxCreating || l.MaxPrice > 0 && price > l.MaxPrice+1e-9) {
		return fmt.Errorf("creates beyond a limit: %d workers, %d creating, price %v", total, creating, price)
	}
	if n := len(a.Starts) + len(a.Reservations); n > 0 && l.MaxJobs > 0 && active+n > l.MaxJobs {
		return fmt.Errorf("%d jobs", active+n)
	}
	for _, p := range l.Pauses {
		if created[p.Types[0]] > p.Allow {
			return fmt.Errorf("%d creates of %s in a pause that allows %d", created[p.Types[0]], p.Types[0], p.Allow)
		}
	}
	return nil
}

func checkVerdicts(a Actions, workers []Worker, l Limits, needed map[int]bool) error {
	verdicts := make([]int, len(workers))
	usable := make(map[string]int)
	for _, w := range workers {
		if w.Takes() {
			usable[w.Type]++
		}
	}
	for _, c := range a.Creates {
		usable[c.Type]++
	}
	idle := false
	for _, s := range a.Shutdowns {
		w := workers[s.Worker]
		verdicts[s.Worker]++
		usable[w.Type]--
		idle = idle || s.Reason == ReasonIdle || s.Reason == ReasonUnneeded
		if w.State != Booting && w.State != Idle || w.Busy() || w.Behavior.Idle == BehaviorHold || needed[s.Worker] {
			return fmt.Errorf("shut down %s, %s, busy %v, needed %v", w.State, w.Behavior.Idle, w.Busy(), needed[s.Worker])
		}
		for _, t := range l.Types {
			if floor, _ := t.Wanted(start); t.Name == w.Type && s.Reason == ReasonIdle && usable[w.Type] < floor {
				return fmt.Errorf("below the floor of %s", t.Name)
			}
		}
	}
	for _, k := range a.Keeps {
		verdicts[k.Worker]++
	}
	for i, n := range verdicts {
		if want := 1; workers[i].State != Gone && n != want || workers[i].State == Gone && n != 0 {
			return fmt.Errorf("%s has %d verdicts", workers[i].ID, n)
		}
	}
	return nil
}

// checkNext: before the instant that a plan names, time alone changes nothing.
func checkNext(r *rand.Rand, a Actions, jobs []Job, workers []Worker, l Limits) error {
	later := 10 * time.Minute
	if !a.Next.IsZero() {
		later = a.Next.Sub(start)
	}
	then := start.Add(time.Duration(r.Int64N(int64(later))))
	b := Plan(jobs, workers, l, then)
	if !slices.Equal(summary(a, jobs, workers), summary(b, jobs, workers)) {
		return fmt.Errorf("next is %s, but at %s\n%q became\n%q", a.Next, then, summary(a, jobs, workers), summary(b, jobs, workers))
	}
	if !reflect.DeepEqual(b, Plan(jobs, workers, l, then)) {
		return fmt.Errorf("two plans from the same differ")
	}
	return nil
}

// Without demand and floors, everything that is not held or unknown goes.
func TestScaleToZero(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		_, workers, l := randomPool(r)
		for i := range l.Types {
			l.Types[i].Warm = nil
		}
		a := Plan(nil, workers, l, start.Add(time.Hour))
		gone := make(map[int]bool)
		for _, s := range a.Shutdowns {
			gone[s.Worker] = true
		}
		for i, w := range workers {
			if (w.State == Idle || w.State == Booting) && w.Takes() && !w.Busy() && !gone[i] {
				t.Fatalf("seed %d: %+v stays", seed, w)
			}
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	for _, c := range []struct {
		name string
		free bool
	}{{"Fits", true}, {"NothingFits", false}} {
		b.Run(c.name, func(b *testing.B) {
			jobs, workers, l := bigPool(c.free)
			for b.Loop() {
				Plan(jobs, workers, l, start)
			}
		})
	}
}

func bigPool(free bool) ([]Job, []Worker, Limits) {
	var l Limits
	l.IdleTimeout, l.PriceFactor, l.MaxWorkers = time.Minute, 3, 10_000
	for i := range 10 {
		l.Types = append(l.Types, InstanceType{Name: fmt.Sprint("type", i), Price: 1 + float64(i)/10, Room: Resources{Slots: 8, CPU: 8000 + int64(i)}})
	}
	workers := make([]Worker, 10_000)
	for i := range workers {
		workers[i] = worker(fmt.Sprint("i", i), l.Types[i%10].Name, Running, time.Duration(i*7919%10_000)*time.Second)
		used := Resources{Slots: 8, CPU: int64(i % 4000)}
		if free {
			used.Slots = int64(i % 8)
		}
		if used.Slots == 0 {
			workers[i].State = Idle
			continue
		}
		workers[i].Jobs = []WorkerJob{{ID: JobID(fmt.Sprint("r", i)), Needs: used, Phase: Executing}}
	}
	jobs := make([]Job, 1000)
	for i := range jobs {
		jobs[i] = Job{ID: JobID(fmt.Sprint("j", i)), Priority: i % 5, Since: start, Needs: Resources{Slots: 1 + int64(i%3), CPU: int64(i % 2000)}}
	}
	return jobs, workers, l
}
