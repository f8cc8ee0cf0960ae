package workerpool_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	. "github.com/dormouse-go/dormouse/workerpool"
)

// change is what a trigger is expected to change of a worker.
type change func(w *Worker)

func nothing(*Worker) {}

// with returns a worker in a state, with jobs, as it is a minute after edge.
func with(s State, jobs ...WorkerJob) Worker {
	return Worker{ID: "i-1", Type: "a", State: s, CreatedAt: edge, ProbedAt: edge, IdleSince: edge, Jobs: jobs}
}

func but(w Worker, c change) Worker {
	c(&w)
	return w
}

func executing(id JobID) WorkerJob {
	return WorkerJob{ID: id, Needs: oneSlot, Phase: Executing, Seen: true, AssignedAt: edge, ReturnedAt: edge}
}

func inPhase(p JobPhase, id JobID) WorkerJob {
	j := executing(id)
	j.Phase = p
	return j
}

// Each trigger changes this of a worker, and nothing else.
func TestWhatATriggerChanges(t *testing.T) {
	now := edge.Add(time.Minute)
	begun := now.Add(-time.Second)
	held := Behavior{Idle: BehaviorHold, Owner: "ann"}
	drained := Behavior{Idle: BehaviorDrain, Owner: "pool", Reason: "max_uses"}
	starting := WorkerJob{ID: "new", Needs: oneSlot, AssignedAt: edge}
	job := func(i int, c func(j *WorkerJob)) change {
		return func(w *Worker) {
			w.Jobs = append([]WorkerJob(nil), w.Jobs...)
			c(&w.Jobs[i])
		}
	}
	for _, c := range []struct {
		name    string
		w       Worker
		t       Trigger
		want    change
		effects Effects
	}{
		{"a listing of an idle worker", with(Idle), Listed{Address: "b", Begun: begun}, func(w *Worker) { w.Address = "b" }, 0},

		{"a probe begins", with(Idle), ProbeBegun{}, func(w *Worker) { w.ProbedAt, w.Probing = now, true }, 0},
		{
			"a probe of what has no instance", but(with(Pending), func(w *Worker) { w.Probing = true }),
			Probed{Begun: begun, Boot: true, List: true},
			func(w *Worker) { w.Probing = false }, 0,
		},
		{
			"a good probe of an idle worker", but(with(Idle), func(w *Worker) { w.FailingSince = edge }),
			Probed{Begun: begun, List: true},
			func(w *Worker) { w.GoodAt, w.FailingSince, w.Jobs = begun, time.Time{}, []WorkerJob{} }, 0,
		},
		{
			"one that boots again", with(Idle),
			Probed{Begun: begun, List: true, Boot: true},
			func(w *Worker) { w.GoodAt, w.Jobs = begun, []WorkerJob{} }, 0,
		},
		{
			"a good probe of a running worker", but(with(Running, executing("a")), func(w *Worker) { w.FailingSince = edge }),
			Probed{Begun: begun, List: true, Jobs: []ListedJob{{ID: "a"}}},
			func(w *Worker) { w.GoodAt, w.FailingSince = begun, time.Time{} }, 0,
		},
		{
			"a list of what boots proves nothing", with(Booting),
			Probed{Begun: begun, List: true},
			func(w *Worker) { w.FailingSince, w.Jobs = begun, []WorkerJob{} }, 0,
		},
		{
			"unless there are jobs", with(Unknown, executing("a")),
			Probed{Begun: begun, List: true, Jobs: []ListedJob{{ID: "a"}}},
			func(w *Worker) { w.GoodAt = begun }, 0,
		},
		{"the first failure counts", but(with(Idle), func(w *Worker) { w.FailingSince = edge }), Probed{Begun: begun}, nothing, 0},
		{
			"a held worker that is broken stays held", but(with(Idle), func(w *Worker) { w.Behavior = held }),
			Probed{Begun: begun, List: true, Broken: true},
			func(w *Worker) { w.GoodAt, w.Jobs = begun, []WorkerJob{} }, 0,
		},

		{
			"a job whose start runs is not missed", with(Running, starting),
			Probed{Begun: begun, List: true},
			func(w *Worker) { w.GoodAt = begun }, 0,
		},
		{
			"nor is an end before the start returned its own", with(Running, starting),
			Probed{Begun: begun, List: true, Jobs: []ListedJob{{ID: "new", Ended: true}}},
			func(w *Worker) { w.GoodAt = begun }, 0,
		},
		{
			"a job that runs has been started", with(Running, starting),
			Probed{Begun: begun, List: true, Jobs: []ListedJob{{ID: "new"}}},
			good(begun, job(0, func(j *WorkerJob) { j.Phase, j.Seen, j.ReturnedAt = Executing, true, now })), 0,
		},
		{"once", with(Running, executing("a")), Probed{Begun: begun, List: true, Jobs: []ListedJob{{ID: "a"}}}, good(begun, nothing), 0},
		{"what is over stays over", with(Running, inPhase(Over, "a")), Probed{Begun: begun, List: true, Jobs: []ListedJob{{ID: "a"}}}, good(begun, nothing), DoRecord},
		{"listed or not", with(Running, inPhase(Over, "a")), Probed{Begun: begun, List: true}, good(begun, nothing), DoRecord},
		{
			"a job that ends", with(Running, executing("b"), executing("a")),
			Probed{Begun: begun, List: true, Jobs: []ListedJob{{ID: "b"}, {ID: "a", Ended: true, ExitCode: 4}}},
			good(begun, job(1, func(j *WorkerJob) { j.Phase, j.ExitCode = Over, 4 })), DoRecord,
		},
		{
			"a job that is gone", with(Running, executing("b"), executing("a")),
			Probed{Begun: begun, List: true, Jobs: []ListedJob{{ID: "b"}}},
			good(begun, job(1, func(j *WorkerJob) { j.Phase, j.ExitCode = Over, ExitUnknown })), DoRecord,
		},
		{
			"a job that is recorded and gone", with(Running, executing("b"), inPhase(Recorded, "a")),
			Probed{Begun: begun, List: true, Jobs: []ListedJob{{ID: "b"}}},
			good(begun, func(w *Worker) { w.Jobs, w.ForgotAt = w.Jobs[:1], now }), 0,
		},
		{
			"but not for a probe of before its start", with(Running, executing("b"), changed(inPhase(Recorded, "a"), func(j *WorkerJob) { j.ReturnedAt = now })),
			Probed{Begun: begun, List: true, Jobs: []ListedJob{{ID: "b"}}},
			good(begun, nothing), DoForget,
		},
		{
			"what was forgotten later than the probe began is not found again", but(with(Idle), func(w *Worker) { w.ForgotAt = begun }),
			Probed{Begun: begun, List: true, Jobs: []ListedJob{{ID: "a"}}},
			func(w *Worker) { w.GoodAt, w.Jobs = begun, []WorkerJob{} }, 0,
		},
		{
			"a job that is listed twice is one", with(Idle),
			Probed{Begun: begun, List: true, Jobs: []ListedJob{{ID: "a"}, {ID: "a"}}},
			func(w *Worker) {
				w.GoodAt, w.State = begun, Running
				w.Jobs = []WorkerJob{{ID: "a", Phase: Executing, Seen: true, AssignedAt: now, ReturnedAt: now}}
			}, 0,
		},

		{"a shutdown of what boots with a job", with(Booting, executing("a")), ShutdownAsked{Reason: ReasonIdle}, nothing, 0},
		{"a kill before there is an instance", with(Pending), Killed{}, nothing, 0},
		{"a kill of an unknown worker", with(Unknown), Killed{}, leaves(ReasonKilled, now), DoDestroy},
		{"a kill of a running worker", with(Running, executing("a")), Killed{}, leaves(ReasonKilled, now), DoDestroy},
		{"a kill of what leaves", with(Shutdown), Killed{}, nothing, 0},

		{"a second job", with(Running, executing("a")), Assigned{ID: "new", Needs: oneSlot}, func(w *Worker) {
			w.Uses, w.Jobs = 1, []WorkerJob{executing("a"), {ID: "new", Needs: oneSlot, AssignedAt: now}}
		}, 0},
		{"a reservation of what boots", with(Booting), Reserved{}, func(w *Worker) { w.IdleSince = now }, 0},
		{"a reservation of what is ready", with(Idle), Reserved{}, nothing, 0},
		{"a start returns", with(Running, executing("a"), starting), StartReturned{ID: "new"}, job(1, func(j *WorkerJob) { j.ReturnedAt = now }), 0},
		{"while another's end is not recorded", with(Running, inPhase(Over, "a"), starting), StartReturned{ID: "new"}, job(1, func(j *WorkerJob) { j.ReturnedAt = now }), DoRecord},
		{"a start returns twice", with(Running, executing("a")), StartReturned{ID: "a", Withdrawn: true}, nothing, 0},
		{"a start that was not begun", but(with(Running, starting), func(w *Worker) { w.Uses, w.Behavior = 2, drained }), StartReturned{ID: "new", Withdrawn: true}, func(w *Worker) {
			w.Uses, w.Behavior, w.State, w.IdleSince, w.ForgotAt, w.Jobs = 1, Behavior{}, Idle, now, now, []WorkerJob{}
		}, DoSaveTags},
		{"of two", with(Running, executing("a"), starting), StartReturned{ID: "new", Withdrawn: true}, func(w *Worker) {
			w.Uses, w.ForgotAt, w.Jobs = -1, now, w.Jobs[:1]
		}, 0},
		{
			"on a worker that is drained for something else", but(with(Running, executing("a"), starting), func(w *Worker) { w.Behavior = Behavior{Idle: BehaviorDrain, Owner: "pool", Reason: "broken"} }),
			StartReturned{ID: "new", Withdrawn: true},
			func(w *Worker) { w.Uses, w.ForgotAt, w.Jobs = -1, now, w.Jobs[:1] }, 0,
		},
		{
			"or by somebody else", but(with(Running, executing("a"), starting), func(w *Worker) { w.Behavior = Behavior{Idle: BehaviorDrain, Owner: "ann", Reason: "max_uses"} }),
			StartReturned{ID: "new", Withdrawn: true},
			func(w *Worker) { w.Uses, w.ForgotAt, w.Jobs = -1, now, w.Jobs[:1] }, 0,
		},

		{"what a job needs", with(Running, WorkerJob{ID: "a", Phase: Executing}), NeedsKnown{ID: "a", Needs: oneSlot}, job(0, func(j *WorkerJob) { j.Needs = oneSlot }), 0},
		{"which was known", with(Running, executing("a")), NeedsKnown{ID: "a", Needs: Resources{Slots: 7}}, nothing, 0},
		{"of a job that is not there", with(Running, executing("a")), NeedsKnown{ID: "b", Needs: oneSlot}, nothing, 0},
		{"the end of a job is recorded", with(Running, executing("b"), inPhase(Over, "a")), JobRecorded{ID: "a"}, job(1, func(j *WorkerJob) { j.Phase = Recorded }), DoForget},
		{"of a job that runs", with(Running, executing("a")), JobRecorded{ID: "a"}, nothing, 0},
		{"a job is forgotten", with(Running, inPhase(Over, "b"), inPhase(Recorded, "a")), JobForgotten{ID: "a"}, func(w *Worker) { w.Jobs, w.ForgotAt = w.Jobs[:1], now }, DoRecord},
		{"whose end is not recorded", with(Running, inPhase(Over, "a")), JobForgotten{ID: "a"}, nothing, 0},

		{"a job shall end", with(Running, executing("b"), executing("a")), KillAsked{ID: "a", Reason: "ann"}, job(1, func(j *WorkerJob) { j.KillAt, j.KillNext, j.KillReason = now, now, "ann" }), DoKill},
		{"which is not there", with(Running, executing("a")), KillAsked{ID: "b"}, nothing, 0},
		{"which has ended", with(Running, inPhase(Over, "a")), KillAsked{ID: "a"}, nothing, 0},
		{"a request to end that nobody made", with(Running, executing("a")), KillSent{ID: "a"}, nothing, 0},
		{
			"a request to end", with(Running, changed(executing("a"), func(j *WorkerJob) { j.KillAt, j.KillNext = edge, edge })),
			KillSent{ID: "a"},
			job(0, func(j *WorkerJob) { j.KillNext = now.Add(rules.KillInterval) }), 0,
		},
		{"an answer to it", with(Running, executing("a")), KillAnswered{ID: "a"}, func(w *Worker) { w.ProbedAt = time.Time{} }, 0},
		{"an answer about what has ended", with(Running, inPhase(Over, "a")), KillAnswered{ID: "a"}, nothing, 0},
	} {
		t.Run(c.name, func(t *testing.T) { expect(t, c.w, c.t, rules, now, c.want, c.effects) })
	}
}

// good is a change together with that of a good probe.
func good(begun time.Time, c change) change {
	return func(w *Worker) {
		w.GoodAt = begun
		c(w)
	}
}

func changed(j WorkerJob, c func(j *WorkerJob)) WorkerJob {
	c(&j)
	return j
}

func leaves(reason Reason, now time.Time) change {
	return func(w *Worker) {
		w.State, w.Reason, w.ShutdownAt, w.DestroyedAt, w.Destroys = Shutdown, reason, now, now, 1
	}
}

func expect(t *testing.T, before Worker, trigger Trigger, r Rules, now time.Time, want change, effects Effects) {
	t.Helper()
	after, did := Step(before, trigger, r, now)
	if expected := but(before, want); !reflect.DeepEqual(after, expected) {
		t.Errorf("becomes\n\t%+v\nwant\n\t%+v", after, expected)
	}
	if did != effects {
		t.Errorf("effects %07b, want %07b", did, effects)
	}
}

// A use that does not reach the limit drains nothing.
func TestUseBelowTheMaximum(t *testing.T) {
	r := rules
	r.MaxUses = 3
	expect(t, with(Idle), Assigned{ID: "a", Needs: oneSlot}, r, edge.Add(time.Minute), func(w *Worker) {
		w.State, w.Uses, w.Jobs = Running, 1, []WorkerJob{{ID: "a", Needs: oneSlot, AssignedAt: edge.Add(time.Minute)}}
	}, 0)
}

// When a worker is next looked at, and for what.
func TestWhenAWorkerIsDue(t *testing.T) {
	aged, braked := rules, rules
	aged.MaxAge, braked.Braked = time.Hour, true
	quiet := func(w *Worker) { w.Probing = true }
	failing := func(w *Worker) { w.Probing, w.FailingSince = true, edge }
	killed := func(p JobPhase) WorkerJob {
		return changed(inPhase(p, "a"), func(j *WorkerJob) { j.KillAt, j.KillNext = edge, edge.Add(5*time.Second) })
	}
	at := func(d time.Duration) time.Time { return edge.Add(d) }
	for _, c := range []struct {
		name string
		w    Worker
		r    Rules
		want time.Time
	}{
		{"a probe is under way", but(with(Idle), quiet), rules, time.Time{}},
		{"no instance", but(with(Pending), func(w *Worker) { w.ProbedAt = time.Time{} }), rules, time.Time{}},
		{"never probed", but(with(Unknown), func(w *Worker) { w.ProbedAt = time.Time{} }), rules, edge},
		{"booting", with(Booting), rules, at(2 * time.Second)},
		{"unknown", with(Unknown), rules, at(2 * time.Second)},
		{"idle", with(Idle), rules, at(10 * time.Second)},
		{"running", with(Running, executing("a")), rules, at(10 * time.Second)},
		{"leaving", with(Shutdown), rules, time.Time{}},
		{"a hold ends", but(with(Idle), func(w *Worker) { w.Probing, w.Behavior.Until = true, at(time.Second) }), rules, at(time.Second)},
		{"a hold of what leaves", but(with(Shutdown), func(w *Worker) { w.Behavior.Until = at(time.Second) }), rules, time.Time{}},
		{"booting and failing", but(with(Booting), failing), braked, at(10 * time.Minute)},
		{"unknown and failing", but(with(Unknown), failing), rules, at(10 * time.Minute)},
		{"unknown and failing like many", but(with(Unknown), failing), braked, time.Time{}},
		{"idle and failing", but(with(Idle), failing), rules, at(8 * time.Minute)},
		{"running and failing", but(with(Running, executing("a")), failing), rules, at(8 * time.Minute)},
		{"idle and failing like many", but(with(Idle), failing), braked, time.Time{}},
		{"failing while it leaves", but(with(Shutdown), failing), rules, time.Time{}},
		{"to be destroyed again", but(with(Shutdown), func(w *Worker) { w.DestroyAgain, w.DestroyedAt, w.Destroys = true, edge, 1 }), rules, at(10 * time.Second)},
		{"gone before that", but(with(Gone), func(w *Worker) { w.DestroyAgain, w.DestroyedAt, w.Destroys = true, edge, 1 }), rules, time.Time{}},
		{"growing old", but(with(Unknown), quiet), aged, at(time.Hour)},
		{"growing old at work", but(with(Running, executing("a")), quiet), aged, at(time.Hour)},
		{"growing old without an end", but(with(Idle), quiet), rules, time.Time{}},
		{"growing old on hold", but(with(Idle), func(w *Worker) { w.Probing, w.Behavior.Idle = true, BehaviorHold }), aged, time.Time{}},
		{"growing old without an instance", with(Pending), aged, time.Time{}},
		{"growing old and leaving", with(Shutdown), aged, time.Time{}},
		{"a job shall end", but(with(Running, killed(Executing)), quiet), rules, at(5 * time.Second)},
		{"a job that has ended", but(with(Running, killed(Over)), quiet), rules, time.Time{}},
		{"a job of what leaves", with(Shutdown, killed(Executing)), rules, time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Due(c.w, c.r); !got.Equal(c.want) {
				t.Errorf("due at %v, want %v", got, c.want)
			}
		})
	}
}

// What is done when that time comes.
func TestWhatIsDoneWhenAWorkerIsDue(t *testing.T) {
	now := edge.Add(2 * time.Minute)
	again := but(with(Shutdown), func(w *Worker) { w.DestroyAgain, w.DestroyedAt, w.Destroys = true, edge, 1 })
	expect(t, again, DeadlinePassed{}, rules, edge.Add(10*time.Second), func(w *Worker) {
		w.DestroyedAt, w.DestroyAgain, w.Destroys = edge.Add(10*time.Second), false, 2
	}, DoDestroy)
	stuck := changed(executing("a"), func(j *WorkerJob) { j.KillAt, j.KillNext = edge, now })
	draining := but(with(Running, stuck), func(w *Worker) { w.Probing, w.Behavior = true, Behavior{Idle: BehaviorDrain, Owner: "ann"} })
	expect(t, draining, DeadlinePassed{}, rules, now, func(w *Worker) {
		leaves(ReasonUnkillable, now)(w)
		w.Probing, w.Jobs = false, []WorkerJob{changed(stuck, func(j *WorkerJob) { j.Unkillable = true })}
	}, DoDestroy)
}

// The words of states, behaviors, phases and secrets.
func TestWords(t *testing.T) {
	got, err := json.Marshal([]any{Pending, Gone, BehaviorDrain, Starting, Recorded, Secret{}, Secret{0xab}})
	want := `["pending","gone","drain","starting","recorded","","ab00000000000000000000000000000000000000"]`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	if words := Idle.String() + " " + BehaviorHold.String() + " " + Executing.String(); words != "idle hold executing" {
		t.Error(words)
	}
}
