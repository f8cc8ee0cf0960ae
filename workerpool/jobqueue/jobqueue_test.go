package jobqueue_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/jobqueue"
	"github.com/dormouse-go/dormouse/workerpool/workerpooltest"
)

// rig is a manager over a store of jobs and a provider that outlive it, in a bubble.
type rig struct {
	t        *testing.T
	store    *memory.Jobs
	faulty   *acquirertest.Store // what the manager has of the store
	provider *workerpooltest.Provider
	org      uuid.UUID
	types    []workerpool.InstanceType
	needs    map[string]workerpool.Resources
	harmed   bool         // the test destroys machines under their jobs
	says     atomic.Value // of a string: what each machine says of jobs, beside the truth
	events   []acquirer.Event

	acq  *acquirer.Acquirer
	pool *workerpool.Pool
	stop func()
}

func bubble(t *testing.T, change func(r *rig), test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store := memory.NewJobs()
		r := &rig{
			t: t, store: store, faulty: acquirertest.Wrap(store), provider: workerpooltest.NewProvider(nil), org: uuid.New(),
			types: []workerpool.InstanceType{{Name: "small", Price: 1, Room: workerpool.Resources{Slots: 2}}},
		}
		r.provider.Configure(func(k *workerpooltest.Knobs) { k.BootTime, k.JobTime = 30*time.Second, time.Minute })
		if change != nil {
			change(r)
		}
		r.start()
		defer func() { r.stop() }()
		test(r)
		for _, v := range r.provider.Violations() {
			if !r.harmed {
				t.Errorf("violation: %s", v)
			}
		}
	})
}

// liar are machines that say of jobs what the rig says.
type liar struct{ r *rig }

func (l liar) Run(ctx context.Context, target workerpool.Target, command string, stdin io.Reader, stdout io.Writer) error {
	err := l.r.provider.Run(ctx, target, command, stdin, stdout)
	if err == nil && strings.HasSuffix(command, " list") {
		says, _ := l.r.says.Load().(string)
		_, err = io.WriteString(stdout, says)
	}
	return err
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// start runs a manager. Its stop is a clean one, unless the test kills the acquirer before.
func (r *rig) start() {
	r.t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	q, err := jobqueue.New(jobqueue.Config{Organization: r.org, Types: []string{"build", "test"}, Needs: r.needs, Logger: quiet})
	r.must(err)
	r.acq, err = acquirer.New(r.faulty, nil, acquirer.Config{
		Logger: quiet, StopTimeout: time.Second, Lease: time.Minute, Heartbeat: 5 * time.Second, Poll: time.Second,
		Events: func(e acquirer.Event) { r.events = append(r.events, e) },
		Lost:   map[string]acquirer.LostPolicy{"": q.Lost(acquirer.RequeueLost(3, 0))},
	})
	r.must(err)
	r.pool, err = workerpool.New(r.provider, liar{r}, q, workerpool.Config{
		Limits: workerpool.Limits{Types: r.types, IdleTimeout: time.Minute}, PollInterval: 2 * time.Second, Logger: quiet,
	})
	r.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	acq, pool := r.acq, r.pool
	life, end := context.WithCancel(context.Background())
	for name, run := range map[string]func() error{
		"acquirer": func() error { return acq.Run(life) },
		"pool":     func() error { return pool.Run(ctx) },
		"queue":    func() error { return q.Run(ctx, acq, pool) },
	} {
		group.Go(func() {
			if err := run(); err != nil {
				r.t.Errorf("%s: %v", name, err)
			}
		})
	}
	r.stop = sync.OnceFunc(func() { cancel(); end(); group.Wait() })
	synctest.Wait()
}

func (r *rig) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) post(n int, change ...func(*queue.Posting)) []uuid.UUID {
	r.t.Helper()
	var postings []queue.Posting
	for range n {
		p := queue.Posting{ID: uuid.New(), Organization: r.org, Tenant: uuid.New(), Type: "build", Payload: []byte("echo")}
		for _, c := range change {
			c(&p)
		}
		postings = append(postings, p)
	}
	jobs, err := r.acq.Enqueue(context.Background(), postings...)
	r.must(err)
	ids := make([]uuid.UUID, len(jobs))
	for i, j := range jobs {
		ids[i] = j.ID
	}
	return ids
}

func (r *rig) jobs(ids []uuid.UUID) []queue.Job {
	r.t.Helper()
	jobs, err := r.store.Jobs(context.Background(), queue.Filter{IDs: ids})
	r.must(err)
	return jobs
}

// want checks that all jobs are in a state, and that each was begun on a machine so many times.
func (r *rig) want(ids []uuid.UUID, state queue.State, runs int) {
	r.t.Helper()
	for _, j := range r.jobs(ids) {
		n := 0
		for fence := int64(1); fence <= j.Fence; fence++ {
			n += r.provider.Runs(workerpool.JobID(fmt.Sprintf("%s.%d", j.ID, fence)))
		}
		if j.State != state || n != runs {
			r.t.Errorf("job %s is %s (%s) after %d runs, attempt %d; want %s after %d", j.ID, j.State, j.Error, n, j.Attempt, state, runs)
		}
	}
}

// Jobs in the lanes make machines come, run on them, and machines go when nothing waits.
func TestDemandOfLanesMakesMachines(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		ids := r.post(5)
		r.wait(10 * time.Second)
		if n := len(r.provider.Instances()); n != 3 {
			t.Errorf("%d machines for 5 jobs of one slot on machines of two", n)
		}
		r.wait(2 * time.Minute)
		r.want(ids, queue.Succeeded, 1)
		r.wait(5 * time.Minute)
		if n := len(r.provider.Instances()); n != 0 {
			t.Errorf("%d machines are left", n)
		}
	})
}

// Two types of job that take different room, and lanes with tags: each job gets a machine that can run it.
func TestNeedsAndTags(t *testing.T) {
	bubble(t, func(r *rig) {
		r.needs = map[string]workerpool.Resources{"build": {Slots: 2}}
		// The cheaper one is for those who ask for it.
		r.types = append(r.types, workerpool.InstanceType{Name: "gpu", Price: 0.5, Room: workerpool.Resources{Slots: 4}, Labels: map[string]string{"gpu": "yes"}})
	}, func(r *rig) {
		builds := r.post(2)
		tests := r.post(2, func(p *queue.Posting) { p.Type = "test" })
		gpu := r.post(1, func(p *queue.Posting) { p.Tags = map[string]string{"gpu": "yes"} })
		nobody := r.post(1, func(p *queue.Posting) { p.Tags = map[string]string{"os": "mac"} })
		r.wait(time.Minute)
		rare := 0
		for _, in := range r.provider.Instances() {
			if in.ProviderType == "gpu" {
				rare++
			}
		}
		if rare != 1 {
			t.Errorf("%d of the rare machines for one job that asks for one", rare)
		}
		r.wait(10 * time.Minute)
		for _, ids := range [][]uuid.UUID{builds, tests, gpu} {
			r.want(ids, queue.Succeeded, 1)
		}
		r.want(nobody, queue.Pending, 0)
	})
}

// A machine that is gone ends its leases at once, by the policy for lost jobs.
func TestGoneMachineEndsItsLeases(t *testing.T) {
	bubble(t, func(r *rig) {
		r.provider.Configure(func(k *workerpooltest.Knobs) { k.JobTime = 20 * time.Minute })
	}, func(r *rig) {
		ids := r.post(2)
		r.wait(time.Minute)
		r.want(ids, queue.Running, 1)
		r.harmed = true
		for _, in := range r.provider.Instances() {
			r.must(r.provider.Destroy(context.Background(), in.ID))
		}
		r.provider.Configure(func(k *workerpooltest.Knobs) { k.JobTime = time.Minute })
		r.wait(3 * time.Minute) // the next listings say so
		for _, j := range r.jobs(ids) {
			if j.Attempt != 2 {
				t.Errorf("attempt %d", j.Attempt)
			}
		}
		reaped := 0
		for _, e := range r.events {
			if e.Kind == queue.EventReaped && strings.Contains(e.Reason, "its worker is gone") {
				reaped++
			}
		}
		if reaped != 2 {
			t.Errorf("%d jobs were decided about because their machine was gone", reaped)
		}
		r.wait(5 * time.Minute)
		r.want(ids, queue.Succeeded, 2)
	})
}

// Held and drained machines get nothing, though they have room, and nothing had to be told to the acquirer. A drained one goes when
// its job is over.
func TestDrainedMachinesAreNotAskedFor(t *testing.T) {
	for _, idle := range []workerpool.IdleBehavior{workerpool.BehaviorHold, workerpool.BehaviorDrain} {
		t.Run(idle.String(), func(t *testing.T) {
			bubble(t, func(r *rig) {
				r.provider.Configure(func(k *workerpooltest.Knobs) { k.JobTime = 5 * time.Minute })
			}, func(r *rig) {
				first := r.post(1)
				r.wait(time.Minute)
				r.want(first, queue.Running, 1)
				busy := r.pool.Workers()[0].ID
				r.must(r.pool.SetIdleBehavior(busy, workerpool.Behavior{Idle: idle, Owner: "ops"}))
				more := r.post(2)
				r.wait(time.Minute)
				r.want(more, queue.Running, 1)
				if jobs := r.provider.Running(busy); len(jobs) != 1 {
					t.Errorf("machine %s runs %v", busy, jobs)
				}
				r.wait(7 * time.Minute)
				r.want(append(first, more...), queue.Succeeded, 1)
				if _, err := r.pool.Worker(busy); (err == nil) != (idle == workerpool.BehaviorHold) {
					t.Errorf("after its job: %v", err)
				}
			})
		})
	}
}

func TestFailedAndCanceledJobs(t *testing.T) {
	bubble(t, func(r *rig) {
		r.provider.Configure(func(k *workerpooltest.Knobs) { k.ExitCode, k.JobTime = 3, time.Hour })
	}, func(r *rig) {
		canceled := r.post(1)
		r.wait(time.Minute)
		_, err := r.acq.Cancel(context.Background(), "no longer wanted", canceled...)
		r.must(err)
		r.wait(2 * time.Minute)
		r.want(canceled, queue.Canceled, 1)
		r.provider.Configure(func(k *workerpooltest.Knobs) { k.JobTime = time.Minute })
		failed := r.post(1)
		r.wait(3 * time.Minute)
		r.want(failed, queue.Failed, 1)
		if j := r.jobs(failed)[0]; j.Error != "exit code 3" {
			t.Errorf("error %q", j.Error)
		}
	})
}

// What is canceled while the running jobs are asked for is not in the answer, which does not undo it: whenever such a job ends, it
// was canceled.
func TestCanceledWhileTheJobsAreListed(t *testing.T) {
	for after := range 12 {
		bubble(t, func(r *rig) {
			r.provider.Configure(func(k *workerpooltest.Knobs) { k.ExitCode, k.JobTime = 3, time.Hour })
		}, func(r *rig) {
			ids := r.post(1)
			r.wait(time.Minute)
			r.provider.Configure(func(k *workerpooltest.Knobs) { k.CommandTime = 4 * time.Second })
			r.faulty.Choose(func(v acquirertest.Verb) (f acquirertest.Fault) {
				if v == acquirertest.Jobs || v == acquirertest.End {
					f.After = func(context.Context) { time.Sleep(4 * time.Second) } // in a bubble
				}
				return f
			})
			r.wait(10*time.Second + time.Duration(after)*500*time.Millisecond)
			_, err := r.acq.Cancel(context.Background(), "no longer wanted", ids...)
			r.must(err)
			r.wait(2 * time.Minute)
			r.want(ids, queue.Canceled, 1)
			r.faulty.Choose(func(acquirertest.Verb) (f acquirertest.Fault) { return f })
			r.wait(4 * time.Second) // for what was given up
		})
	}
}

// A manager dies while its machines work. The next one finds the jobs there; each runs once, and its end counts.
func TestNextManagerFindsTheJobs(t *testing.T) {
	bubble(t, func(r *rig) {
		r.provider.Configure(func(k *workerpooltest.Knobs) { k.JobTime = 10 * time.Minute })
	}, func(r *rig) {
		ids := r.post(4)
		r.wait(2 * time.Minute)
		r.want(ids, queue.Running, 1)
		r.stop() // its leases are held by a process that is no more
		r.start()
		r.wait(5 * time.Minute)
		r.want(ids, queue.Running, 1)
		r.wait(10 * time.Minute)
		r.want(ids, queue.Succeeded, 1)
	})
}

// A manager whose store is away for longer than a lease has lost all of its leases. Its machines work on, and what they have done
// counts: what runs on as well as what has ended meanwhile.
func TestManagerWithoutItsStoreForALease(t *testing.T) {
	for name, takes := range map[string]time.Duration{"ends later": 10 * time.Minute, "ends meanwhile": 2 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				r.provider.Configure(func(k *workerpooltest.Knobs) { k.JobTime = takes })
			}, func(r *rig) {
				ids := r.post(4)
				r.wait(time.Minute)
				r.want(ids, queue.Running, 1)
				before := r.acq.Process()
				r.faulty.Choose(func(acquirertest.Verb) acquirertest.Fault { return acquirertest.Fault{Down: true} })
				r.wait(3 * time.Minute)
				r.faulty.Choose(nil)
				r.wait(time.Minute)
				if r.acq.Process() == before {
					t.Error("no lease was lost: this tests nothing")
				}
				r.wait(10 * time.Minute)
				r.want(ids, queue.Succeeded, 1)
			})
		})
	}
}

// What a machine says of jobs that it was not handed has no effect on them: they are neither over nor lost with it, whoever has them.
func TestMachinesThatLie(t *testing.T) {
	bubble(t, func(r *rig) { r.harmed = true }, func(r *rig) {
		r.provider.Configure(func(k *workerpooltest.Knobs) { k.JobTime = time.Hour })
		r.post(1)
		r.wait(time.Minute)
		p := queue.Posting{ID: uuid.New(), Organization: uuid.New(), Type: "build"}
		ctx := context.Background()
		_, err := r.acq.Enqueue(ctx, p)
		r.must(err)
		job, err := r.acq.AcquireJob(ctx, queue.Request{Organization: p.Organization, Worker: uuid.New(), Types: []string{p.Type}})
		r.must(err)
		id := fmt.Sprintf("%s.%d", job.ID, job.Fence)
		for _, says := range []string{id + " exit 0\n", id + " exit 1\n", id + " stale\n", id + "\n"} {
			r.says.Store(says)
			r.wait(time.Minute)
			if _, err := r.acq.Renew(ctx, queue.Report{Handout: job.Handout()}); err != nil {
				t.Fatalf("after %q: %v", says, err)
			}
		}
		for _, w := range r.pool.Workers() { // with what it says that it has
			r.provider.Crash(w.ID)
		}
		r.says.Store("")
		r.wait(5 * time.Minute)
		if _, err := r.acq.End(ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
			t.Errorf("the end of whoever has it: %v", err)
		}
	})
}

// A job that is over for the store, whoever said so, ends on its machine.
func TestJobThatTheStoreHasEnded(t *testing.T) {
	bubble(t, func(r *rig) {
		r.provider.Configure(func(k *workerpooltest.Knobs) { k.JobTime = time.Hour })
	}, func(r *rig) {
		ids := r.post(1)
		r.wait(time.Minute)
		r.want(ids, queue.Running, 1)
		r.must(r.acq.Judge(context.Background(), r.jobs(ids)[0].Lease(), acquirer.Verdict{Outcome: queue.OutcomeFailed, Error: "by hand"}))
		r.wait(time.Minute)
		r.want(ids, queue.Failed, 1)
		if c := r.pool.Counts(); c.Workers[workerpool.Running] != 0 {
			t.Errorf("it still runs: %+v", c)
		}
	})
}

// What a dead manager had acquired and not started is on no machine: it goes back once that process counts as lost.
func TestJobOnNoMachineGoesBack(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.stop()
		other := uuid.New() // a manager that died between a claim and the start
		_, err := r.store.Heartbeat(context.Background(), queue.Heartbeat{Process: other, Now: time.Now().UTC(), Name: "dead"})
		r.must(err)
		posting := queue.Posting{ID: uuid.New(), Organization: r.org, Tenant: uuid.New(), Type: "build"}
		jobs, err := r.store.Enqueue(context.Background(), time.Now().UTC(), []queue.Posting{posting})
		r.must(err)
		claimed, err := r.store.Claim(context.Background(), queue.Claim{
			Token: uuid.New(), Process: other, Now: time.Now().UTC(), Probes: []queue.Probe{{Lane: jobs[0].Lane()}}, Workers: []uuid.UUID{uuid.New()},
		})
		r.must(err)
		if len(claimed.Jobs) != 1 {
			t.Fatal("not claimed")
		}
		r.start()
		r.wait(30 * time.Second)
		r.want([]uuid.UUID{posting.ID}, queue.Running, 0)
		r.wait(10 * time.Minute)
		r.want([]uuid.UUID{posting.ID}, queue.Succeeded, 1)
	})
}

func TestNewRefusesBadInput(t *testing.T) {
	for field, cfg := range map[string]jobqueue.Config{
		"Config.Types":              {},
		`Config.Needs["build"].CPU`: {Types: []string{"build"}, Needs: map[string]workerpool.Resources{"build": {CPU: -1}}},
		"Config.Tags":               {Types: []string{"build"}, Tags: map[string]string{"": "x"}},
		"Config.Expect":             {Types: []string{"build"}, Expect: -1},
	} {
		_, err := jobqueue.New(cfg)
		var refused *invalid.Error
		if !errors.As(err, &refused) || refused.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := jobqueue.LeftToPool()(t.Context(), acquirer.Job{}); err == nil {
		t.Error("a process without the pool decides about its jobs")
	}
	q, err := jobqueue.New(jobqueue.Config{Types: []string{"build"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Jobs(t.Context()); err == nil {
		t.Error("nothing is known before Run")
	}
	if _, err := q.Lost(acquirer.FailLost())(t.Context(), acquirer.Job{}); err == nil {
		t.Error("nothing is decided before Run")
	}
}
