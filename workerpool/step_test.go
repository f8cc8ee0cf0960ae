package workerpool_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	. "github.com/dormouse-go/dormouse/workerpool"
)

var (
	start = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	rules = Rules{
		BootTimeout: 10 * time.Minute, ProbeTimeout: 8 * time.Minute, ProbeInterval: 10 * time.Second, BootInterval: 2 * time.Second,
		ShutdownTimeout: 10 * time.Second, KillInterval: 5 * time.Second, TermTimeout: 2 * time.Minute,
	}
	oneSlot = Resources{Slots: 1}
	passed  = Probed{Boot: true, List: true}
)

// life drives one worker.
type life struct {
	w   Worker
	now time.Time
	r   Rules
}

func (l *life) step(t Trigger) Effects {
	var e Effects
	l.w, e = Step(l.w, t, l.r, l.now)
	return e
}

// probe begins and ends one.
func (l *life) probe(p Probed) Effects {
	l.step(ProbeBegun{})
	p.Begun = l.now
	return l.step(p)
}

func (l *life) wait(d time.Duration) { l.now = l.now.Add(d) }

// at brings a new worker into a state.
func at(s State) *life {
	l := &life{w: NewPending("small", Secret{1}, start), now: start, r: rules}
	if s == Unknown {
		l.w = NewUnknown("i-1", "10.0.0.1", "small", Behavior{}, start, start)
		return l
	}
	if s >= Booting {
		l.step(Created{ID: "i-1", Address: "10.0.0.1"})
	}
	if s == Idle || s == Running {
		l.wait(time.Second)
		l.probe(passed)
	}
	if s == Running {
		l.wait(time.Second)
		l.step(Assigned{ID: "job", Needs: oneSlot})
	}
	if s == Shutdown {
		l.step(ShutdownAsked{Reason: ReasonIdle})
	}
	l.wait(time.Second)
	return l
}

func running(ids ...JobID) Probed {
	p := passed
	for _, id := range ids {
		p.Jobs = append(p.Jobs, ListedJob{ID: id})
	}
	return p
}

// fail lets probes fail for a time.
func (l *life) fail(d time.Duration) {
	for end := l.now.Add(d); l.now.Before(end); l.wait(10 * time.Second) {
		l.probe(Probed{})
	}
}

// Every line of the table of transitions.
func TestTransitions(t *testing.T) {
	tests := []struct {
		name string
		from State
		do   func(l *life) Effects
		to   State
		want Effects
	}{
		{"1 a create begins", Pending, func(l *life) Effects { return 0 }, Pending, 0},
		{"2 and 3 its instance is known", Pending, func(l *life) Effects { return l.step(Created{ID: "i"}) }, Booting, 0},
		{"4 the create fails", Pending, func(l *life) Effects { return l.step(CreateFailed{}) }, Gone, 0},
		{"5 a listing shows a stranger", Unknown, func(l *life) Effects { return l.step(Listed{Begun: l.now}) }, Unknown, 0},
		{"6 an unknown worker answers", Unknown, func(l *life) Effects { return l.probe(passed) }, Idle, 0},
		{"6 an unknown worker answers with a job", Unknown, func(l *life) Effects { return l.probe(running("a")) }, Running, 0},
		{"6 a booting worker answers", Booting, func(l *life) Effects { return l.probe(passed) }, Idle, 0},
		{"6 half an answer is none", Booting, func(l *life) Effects { return l.probe(Probed{Boot: true}) }, Booting, 0},
		{"6 the other half neither", Booting, func(l *life) Effects { return l.probe(Probed{List: true}) }, Booting, 0},
		{"7 an unknown worker lists jobs before it is ready", Unknown, func(l *life) Effects {
			p := running("a")
			p.Boot = false
			e := l.probe(p)
			if len(l.w.Jobs) != 1 {
				t.Error("the job is not recorded")
			}
			return e
		}, Unknown, 0},
		{"8 booting takes too long", Booting, func(l *life) Effects { l.fail(rules.BootTimeout); return l.step(DeadlinePassed{}) }, Shutdown, DoDestroy},
		{"8 not yet", Booting, func(l *life) Effects {
			l.fail(rules.BootTimeout - 10*time.Second)
			return l.step(DeadlinePassed{}) & DoDestroy
		}, Booting, 0},
		{"8 an unknown worker never answers", Unknown, func(l *life) Effects { l.fail(rules.BootTimeout); return l.step(DeadlinePassed{}) }, Shutdown, DoDestroy},
		{"8 but not one that is held", Booting, func(l *life) Effects {
			l.step(BehaviorSet{Behavior{Idle: BehaviorHold}})
			l.fail(2 * rules.BootTimeout)
			return l.step(DeadlinePassed{}) & DoDestroy
		}, Booting, 0},
		{"9 an unknown worker with a job may take for ever to boot", Unknown, func(l *life) Effects {
			for range 200 {
				p := running("a")
				p.Boot = false
				l.probe(p)
				l.wait(10 * time.Second)
				l.step(DeadlinePassed{})
			}
			return 0
		}, Unknown, 0},
		{"10 a job is given to an idle worker", Idle, func(l *life) Effects { return l.step(Assigned{ID: "a", Needs: oneSlot}) }, Running, 0},
		{"10 a probe finds a job", Idle, func(l *life) Effects { return l.probe(running("a")) }, Running, 0},
		{"11 the last job ends, the queue does not know", Running, func(l *life) Effects {
			l.step(StartReturned{ID: "job"})
			l.wait(time.Second)
			return l.probe(passed)
		}, Running, DoRecord},
		{"11 and the queue knows", Running, func(l *life) Effects {
			l.step(StartReturned{ID: "job"})
			l.wait(time.Second)
			l.probe(passed)
			return l.step(JobRecorded{ID: "job"})
		}, Idle, DoForget},
		{"12 nothing needs it", Idle, func(l *life) Effects { return l.step(ShutdownAsked{Reason: ReasonIdle}) }, Shutdown, DoDestroy},
		{"12 it is drained", Idle, func(l *life) Effects { return l.step(BehaviorSet{Behavior{Idle: BehaviorDrain}}) }, Shutdown, DoDestroy | DoSaveTags},
		{"12 it is silent", Idle, func(l *life) Effects { l.fail(rules.ProbeTimeout); return l.step(DeadlinePassed{}) }, Shutdown, DoDestroy},
		{"12 it is killed", Idle, func(l *life) Effects { return l.step(Killed{}) }, Shutdown, DoDestroy},
		{"12 a held one is not shut down", Idle, func(l *life) Effects {
			l.step(BehaviorSet{Behavior{Idle: BehaviorHold}})
			return l.step(ShutdownAsked{Reason: ReasonIdle})
		}, Idle, 0},
		{"12 except by a kill", Idle, func(l *life) Effects {
			l.step(BehaviorSet{Behavior{Idle: BehaviorHold}})
			return l.step(Killed{})
		}, Shutdown, DoDestroy},
		{"13 a busy one is silent", Running, func(l *life) Effects { l.fail(rules.ProbeTimeout); return l.step(DeadlinePassed{}) }, Shutdown, DoDestroy},
		{"13 a busy one is drained", Running, func(l *life) Effects { return l.step(BehaviorSet{Behavior{Idle: BehaviorDrain}}) }, Running, DoSaveTags},
		{"13 a busy one is not shut down", Running, func(l *life) Effects { return l.step(ShutdownAsked{Reason: ReasonIdle}) }, Running, 0},
		{"13 its job cannot be killed", Running, func(l *life) Effects {
			l.step(KillAsked{ID: "job"})
			l.wait(rules.TermTimeout)
			return l.step(DeadlinePassed{})&DoDestroy | l.step(DeadlinePassed{})
		}, Shutdown, DoDestroy},
		{"14 a booting worker is drained", Booting, func(l *life) Effects { return l.step(BehaviorSet{Behavior{Idle: BehaviorDrain}}) }, Shutdown, DoDestroy | DoSaveTags},
		{"14 a booting worker is not needed", Booting, func(l *life) Effects { return l.step(ShutdownAsked{Reason: ReasonUnneeded}) }, Shutdown, DoDestroy},
		{"14 an unknown worker is never shut down for that", Unknown, func(l *life) Effects { return l.step(ShutdownAsked{Reason: ReasonUnneeded}) }, Unknown, 0},
		{"15 a destroy had no effect", Shutdown, func(l *life) Effects {
			l.wait(rules.ShutdownTimeout)
			l.step(Listed{Begun: l.now})
			return l.step(DeadlinePassed{})
		}, Shutdown, DoDestroy},
		{"15 a listing while the destroy is under way proves nothing either", Shutdown, func(l *life) Effects {
			l.step(Listed{Begun: l.now})
			l.wait(time.Second)
			l.step(Destroyed{})
			l.wait(rules.ShutdownTimeout)
			return l.step(DeadlinePassed{})
		}, Shutdown, 0},
		{"15 a destroy takes its time", Shutdown, func(l *life) Effects {
			l.wait(rules.ShutdownTimeout)
			l.step(Listed{Begun: l.now, Leaving: true})
			return l.step(DeadlinePassed{})
		}, Shutdown, 0},
		{"the provider ends it", Running, func(l *life) Effects { return l.step(Listed{Begun: l.now, Leaving: true}) }, Shutdown, 0},
		{"15 a listing from before proves nothing", Shutdown, func(l *life) Effects {
			l.wait(rules.ShutdownTimeout)
			l.step(Listed{Begun: l.w.DestroyedAt})
			return l.step(DeadlinePassed{})
		}, Shutdown, 0},
		{"15 a destroy failed", Shutdown, func(l *life) Effects {
			l.step(Destroyed{Failed: true})
			l.wait(rules.ShutdownTimeout)
			return l.step(DeadlinePassed{})
		}, Shutdown, DoDestroy},
		{"16 it is listed no more", Running, func(l *life) Effects { return l.step(Vanished{}) }, Gone, 0},
		{"16 the provider does not know it", Shutdown, func(l *life) Effects { return l.step(Destroyed{Absent: true}) }, Gone, 0},
		{"there is no way back", Shutdown, func(l *life) Effects {
			return l.probe(passed) | l.step(Killed{}) | l.step(BehaviorSet{}) | l.step(Assigned{ID: "a"}) | l.step(Created{ID: "x"})
		}, Shutdown, 0},
		{"it says that it is broken", Idle, func(l *life) Effects {
			p := passed
			p.Broken = true
			return l.probe(p)
		}, Shutdown, DoDestroy | DoSaveTags},
		{"it is too old", Idle, func(l *life) Effects {
			l.r.MaxAge = time.Hour
			l.wait(time.Hour)
			return l.step(DeadlinePassed{}) & (DoDestroy | DoSaveTags)
		}, Shutdown, DoDestroy | DoSaveTags},
		{"it is too old, but busy", Running, func(l *life) Effects {
			l.r.MaxAge = time.Hour
			l.wait(time.Hour)
			return l.step(DeadlinePassed{}) & (DoDestroy | DoSaveTags)
		}, Running, DoSaveTags},
		{"its last use", Idle, func(l *life) Effects {
			l.r.MaxUses = 1
			return l.step(Assigned{ID: "a", Needs: oneSlot})
		}, Running, DoSaveTags},
		{"a use that was none", Idle, func(l *life) Effects {
			l.r.MaxUses = 1
			l.step(Assigned{ID: "a", Needs: oneSlot})
			e := l.step(StartReturned{ID: "a", Withdrawn: true})
			if l.w.Uses != 0 {
				t.Errorf("%d uses", l.w.Uses)
			}
			return e
		}, Idle, DoSaveTags},
		{"a hold ends", Idle, func(l *life) Effects {
			l.step(BehaviorSet{Behavior{Idle: BehaviorHold, Until: l.now.Add(time.Minute)}})
			l.wait(time.Minute)
			e := l.step(DeadlinePassed{}) & DoSaveTags
			if l.w.Behavior != (Behavior{}) {
				t.Errorf("behavior %+v", l.w.Behavior)
			}
			return e
		}, Idle, DoSaveTags},
		{"a braked pool destroys nothing for silence", Running, func(l *life) Effects {
			l.r.Braked = true
			l.fail(2 * rules.ProbeTimeout)
			return l.step(DeadlinePassed{}) & DoDestroy
		}, Running, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := at(test.from)
			got := test.do(l)
			if l.w.State != test.to || got != test.want {
				t.Errorf("state %s, effects %06b; want %s, %06b", l.w.State, got, test.to, test.want)
			}
		})
	}
}

// A job's way on a worker, as far as each probe can know it.
func TestProbeJudgesOnlyWhatItCanKnow(t *testing.T) {
	phase := func(l *life) JobPhase { return l.w.Jobs[0].Phase }

	l := at(Running)
	begun := l.now
	l.step(ProbeBegun{})
	l.wait(time.Second)
	l.step(StartReturned{ID: "job"})
	l.step(Probed{Begun: begun, List: true})
	if phase(l) != Starting {
		t.Fatalf("a probe that began before the start returned ended the job: %s", phase(l))
	}
	l.probe(running("job"))
	if phase(l) != Executing || !l.w.Jobs[0].Seen {
		t.Fatalf("phase %s after it was seen", phase(l))
	}
	l.probe(Probed{List: true, Jobs: []ListedJob{{ID: "job", Ended: true, ExitCode: 3}}})
	if phase(l) != Over || l.w.Jobs[0].ExitCode != 3 || l.w.State != Running {
		t.Fatalf("after its end: %+v in %s", l.w.Jobs[0], l.w.State)
	}
	begun = l.now
	l.step(ProbeBegun{})
	l.wait(time.Second)
	l.step(JobRecorded{ID: "job"})
	idle := l.w.IdleSince
	if l.w.State != Idle || idle != l.now {
		t.Fatalf("state %s since %s", l.w.State, idle)
	}
	l.step(JobForgotten{ID: "job"})
	l.step(Probed{Begun: begun, List: true, Jobs: []ListedJob{{ID: "job", Ended: true, ExitCode: 3}}})
	if len(l.w.Jobs) != 0 {
		t.Fatalf("a probe that began before it was forgotten brought it back: %+v", l.w.Jobs)
	}
	if l.w.IdleSince != idle {
		t.Error("the idle clock moved")
	}
}

func TestFoundJobThatVanishesHasRun(t *testing.T) {
	l := at(Idle)
	l.probe(running("found"))
	l.wait(time.Second)
	l.probe(passed)
	if j := l.w.Jobs[0]; j.Phase != Over || !j.Seen || j.ExitCode != ExitUnknown {
		t.Errorf("%+v", j)
	}
	l = at(Unknown)
	l.probe(Probed{Boot: true, List: true, Jobs: []ListedJob{{ID: "ended", Ended: true, ExitCode: 2}}})
	if j := l.w.Jobs[0]; j.Phase != Over || !j.Seen || j.ExitCode != 2 || l.w.State != Running {
		t.Errorf("%+v on a worker that is %s", j, l.w.State)
	}
}

// A worker that lists a recorded job no more has forgotten it, whatever became of the command; one that still lists it is
// asked again.
func TestForgettingThatFailedIsRepeated(t *testing.T) {
	l := at(Running)
	l.step(StartReturned{ID: "job"})
	l.wait(time.Second)
	ended := Probed{List: true, Jobs: []ListedJob{{ID: "job", Ended: true}}}
	l.probe(ended)
	l.step(JobRecorded{ID: "job"})
	if e := l.probe(ended); e != DoForget || len(l.w.Jobs) != 1 {
		t.Errorf("still listed: effects %06b, %+v", e, l.w.Jobs)
	}
	if e := l.probe(passed); e != 0 || len(l.w.Jobs) != 0 || l.w.ForgotAt != l.now {
		t.Errorf("listed no more: effects %06b, %+v", e, l.w.Jobs)
	}
}

func TestAddressesFollowTheListing(t *testing.T) {
	l := at(Idle)
	l.step(Listed{Address: "10.0.0.9", Begun: l.now})
	if l.w.Address != "10.0.0.9" {
		t.Errorf("address %s", l.w.Address)
	}
}

func TestStartThatFails(t *testing.T) {
	l := at(Running)
	l.step(StartReturned{ID: "job"})
	l.wait(time.Second)
	l.probe(passed)
	if j := l.w.Jobs[0]; j.Phase != Over || j.Seen || j.ExitCode != ExitUnknown {
		t.Errorf("a job without a trace: %+v", j)
	}
	l = at(Running)
	l.step(StartReturned{ID: "job", Withdrawn: true})
	if l.w.State != Idle || len(l.w.Jobs) != 0 {
		t.Errorf("a start that was withdrawn: %s %+v", l.w.State, l.w.Jobs)
	}
}

func TestKillRepeatsAndGivesUp(t *testing.T) {
	l := at(Running)
	l.step(StartReturned{ID: "job"})
	sent := 0
	for e := l.step(KillAsked{ID: "job", Reason: "over"}); l.w.State == Running; e = l.step(DeadlinePassed{}) {
		if e&DoKill != 0 {
			sent++
			l.step(KillSent{ID: "job"})
		}
		l.probe(running("job"))
		l.wait(time.Second)
	}
	if want := int(rules.TermTimeout / rules.KillInterval); sent != want {
		t.Errorf("%d requests, want %d", sent, want)
	}
	if l.w.State != Shutdown || l.w.Reason != ReasonUnkillable || l.w.Behavior.Owner == "" {
		t.Errorf("%s for %s, %+v", l.w.State, l.w.Reason, l.w.Behavior)
	}
	if l := at(Running); l.step(KillAsked{ID: "job"}) != DoKill || l.step(KillAsked{ID: "job"}) != 0 || l.step(KillAsked{ID: "other"}) != 0 {
		t.Error("a second request and one for a strange job must have no effect")
	}
	held := at(Running)
	held.step(BehaviorSet{Behavior{Idle: BehaviorHold}})
	held.step(KillAsked{ID: "job"})
	held.wait(rules.TermTimeout)
	held.step(DeadlinePassed{})
	if held.w.State != Running || !held.w.Jobs[0].Unkillable {
		t.Errorf("a held worker with an unkillable job: %s %+v", held.w.State, held.w.Jobs)
	}
}

func TestKillAnsweredProbesAtOnce(t *testing.T) {
	l := at(Running)
	l.step(StartReturned{ID: "job"})
	l.probe(running("job"))
	l.step(KillAnswered{ID: "job"})
	if e := l.step(DeadlinePassed{}); e&DoProbe == 0 {
		t.Error("no probe after a job was said to have ended")
	}
}

func TestDestroyRepeatsMoreAndMoreRarely(t *testing.T) {
	l := at(Shutdown)
	var gaps []time.Duration
	last := l.now
	for range 8 {
		l.step(Destroyed{Failed: true})
		l.now = Due(l.w, l.r)
		if l.step(DeadlinePassed{})&DoDestroy == 0 {
			t.Fatal("not destroyed again")
		}
		gaps, last = append(gaps, l.now.Sub(last)), l.now
	}
	want := []time.Duration{10, 20, 40, 80, 160, 300, 300, 300}
	for i := range want {
		want[i] *= time.Second
	}
	if !slices.Equal(gaps, want) {
		t.Errorf("gaps %v, want %v", gaps, want)
	}
}

// Random lives: what must never happen to one worker.
func TestRandomLives(t *testing.T) {
	for seed := range uint64(2000) {
		if err := randomLife(rand.New(rand.NewPCG(seed, 1))); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func randomLife(r *rand.Rand) error {
	l := at(State(r.IntN(int(Shutdown))))
	l.r.MaxAge, l.r.MaxUses = time.Duration(r.IntN(3))*15*time.Minute, r.IntN(5)
	for range 150 {
		l.wait(time.Duration(r.IntN(40)) * time.Second)
		l.r.Braked = r.IntN(20) == 0
		before, kept := l.w, slices.Clone(l.w.Jobs)
		if err := checkDue(l); err != nil {
			return err
		}
		trigger := randomTrigger(r, l)
		effects := l.step(trigger)
		if err := checkStep(before, l.w, trigger, effects); err != nil {
			return fmt.Errorf("%T%+v: %w", trigger, trigger, err)
		}
		if !reflect.DeepEqual(before.Jobs, kept) && len(kept) > 0 {
			return fmt.Errorf("%T changed jobs that somebody else has", trigger)
		}
	}
	return nil
}

// checkDue: before its time DeadlinePassed does nothing, at its time it does something.
func checkDue(l *life) error {
	due := Due(l.w, l.r)
	if due.IsZero() || l.now.Before(due) {
		if w, e := Step(l.w, DeadlinePassed{}, l.r, l.now); e != 0 || !reflect.DeepEqual(w, l.w) {
			return fmt.Errorf("due at %s, but did %06b at %s: %+v to %+v", due, e, l.now, l.w, w)
		}
		return nil
	}
	if w, e := Step(l.w, DeadlinePassed{}, l.r, due); e == 0 && reflect.DeepEqual(w, l.w) {
		return fmt.Errorf("due at %s and nothing done: %+v", due, l.w)
	}
	return nil
}

func checkStep(before, after Worker, trigger Trigger, effects Effects) error {
	switch {
	case after.State == before.State:
	case before.State == Gone || before.State == Shutdown && after.State != Gone:
		return fmt.Errorf("back from %s to %s", before.State, after.State)
	case after.State == Shutdown:
		if effects&DoDestroy == 0 {
			return fmt.Errorf("shut down and not destroyed")
		}
		forced := after.Reason == ReasonKilled || after.Reason == ReasonProvider || after.Reason == ReasonProbeTimeout || after.Reason == ReasonBootTimeout || after.Reason == ReasonUnkillable
		if before.Busy() && after.Busy() && !forced {
			return fmt.Errorf("busy, and shut down for %s", after.Reason)
		}
		if before.Behavior.Idle == BehaviorHold && after.Behavior.Idle == BehaviorHold && after.Reason != ReasonKilled {
			return fmt.Errorf("held, and shut down for %s", after.Reason)
		}
	}
	if _, ok := trigger.(Assigned); ok && len(after.Jobs) > len(before.Jobs) && (before.State != Idle && before.State != Running || before.Behavior.Idle != BehaviorRun) {
		return fmt.Errorf("a job on a worker that is %s and %s", before.State, before.Behavior.Idle)
	}
	if busy := after.Busy(); after.State == Idle && busy || after.State == Running && !busy {
		return fmt.Errorf("%s with jobs %+v", after.State, after.Jobs)
	}
	return nil
}

func randomTrigger(r *rand.Rand, l *life) Trigger {
	id := JobID([]string{"a", "b", "c"}[r.IntN(3)])
	var listed []ListedJob
	for _, j := range l.w.Jobs {
		if r.IntN(3) > 0 {
			listed = append(listed, ListedJob{ID: j.ID, Ended: r.IntN(2) == 0, ExitCode: r.IntN(3)})
		}
	}
	if r.IntN(10) == 0 {
		listed = append(listed, ListedJob{ID: id})
	}
	all := []Trigger{
		Created{ID: "i-1"},
		Listed{Begun: l.now},
		ProbeBegun{},
		Probed{Begun: l.now.Add(-time.Duration(r.IntN(30)) * time.Second), Boot: r.IntN(4) > 0, List: r.IntN(4) > 0, Broken: r.IntN(30) == 0, Jobs: listed},
		Assigned{ID: JobID(fmt.Sprint("n", r.IntN(1000))), Needs: oneSlot},
		StartReturned{ID: id, Withdrawn: r.IntN(4) == 0},
		NeedsKnown{ID: id, Needs: oneSlot},
		JobRecorded{ID: id},
		JobForgotten{ID: id},
		KillAsked{ID: id},
		KillSent{ID: id},
		KillAnswered{ID: id},
		BehaviorSet{Behavior{Idle: IdleBehavior(r.IntN(3)), Until: []time.Time{{}, l.now.Add(time.Minute)}[r.IntN(2)]}},
		DeadlinePassed{},
		DeadlinePassed{},
		DeadlinePassed{},
		Destroyed{Failed: r.IntN(2) == 0},
	}
	if r.IntN(12) == 0 {
		all = []Trigger{ShutdownAsked{Reason: ReasonIdle}, Killed{}, Vanished{}, CreateFailed{}, Destroyed{Absent: true}}
	}
	if len(l.w.Jobs) > 0 && r.IntN(2) == 0 { // more of what concerns its jobs
		id = l.w.Jobs[r.IntN(len(l.w.Jobs))].ID
		all = []Trigger{StartReturned{ID: id}, JobRecorded{ID: id}, JobForgotten{ID: id}, KillAsked{ID: id}, KillSent{ID: id}, NeedsKnown{ID: id, Needs: oneSlot}}
	}
	return all[r.IntN(len(all))]
}
