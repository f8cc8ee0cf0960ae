package acquirer

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/text"
)

// aheadCount is how far the jobs ahead are counted in each lane.
const aheadCount = 10_000

// Explanation says why a job is where it is. What it says of workers is as of the last heartbeat.
type Explanation struct {
	Job Job
	// Ahead is the number of ready jobs that go before this one and compete with it: at least one worker could
	// run both. Up to 10,000 are counted in each lane. Zero if no worker could run it.
	Ahead int
	// Able are the processes with workers that could run it, and of their workers only those.
	Able []queue.Process
	// Waiting and Busy are the slots of those workers.
	Waiting, Busy int
	// Nearest are the workers that come closest to being able, if none is, and Mismatch says what keeps them from it. Nil
	// if the organization has no workers.
	Nearest  *queue.Domain
	Mismatch queue.Mismatch
	// Unheard: this process has had no answer to a heartbeat yet, as one that does not run: of other processes and their workers it
	// knows nothing.
	Unheard bool
	// Limited: a limit kept jobs of its lane from being claimed when that was last tried in this process.
	Limited bool
	// Refused is why the database refused to write it when this process lately claimed it or had it turn ready; nil: it did not.
	Refused *queue.Refusal
	// Silent is for how long the process of a running job has not been heard from, if that is longer than a heartbeat should
	// take, and TakenBackAt when the job is taken from it unless it is heard from by then.
	Silent      time.Duration
	TakenBackAt time.Time
	// LimitAt is when the run of a running job reaches its limit, and GivenUpAt when its lease is given up unless it has
	// stopped by then: it was told to stop, or will be at LimitAt. Zero: never.
	LimitAt, GivenUpAt time.Time
	// Pause is why jobs like it are not handed out; nil: they are not paused.
	Pause *queue.Pause
	// Text says the essence in a sentence. Stored text in it is quoted.
	Text string

	shortage shortage
}

// Explain says why a job is still pending: what is ahead of it, who could run it and what they do, or what
// keeps the nearest worker from it. [queue.ErrNotFound] if there is no such job.
//
// It names other people's workers and is for operators; what a tenant may read says [View.Explain].
func (a *Acquirer) Explain(ctx context.Context, id uuid.UUID) (Explanation, error) {
	x, err := a.explain(ctx, id, nil)
	if err == nil {
		x.Text = x.text(a.clock.Now(), unableText(x.Nearest, x.Mismatch))
	}
	return x, err
}

func (a *Acquirer) explain(ctx context.Context, id uuid.UUID, organization *uuid.UUID) (x Explanation, err error) {
	if x.Job, err = a.jobWithin(ctx, id, organization); err != nil {
		return Explanation{}, err
	}
	switch x.Job.State {
	case queue.Pending:
		err = a.explainPending(ctx, &x)
	case queue.Running:
		a.explainRunning(&x)
	}
	if err != nil {
		return Explanation{}, err
	}
	return x, nil
}

// explainPending asks what is ahead of a job if anybody could run it: with nobody it competes with nothing.
func (a *Acquirer) explainPending(ctx context.Context, x *Explanation) (err error) {
	a.explainAble(x)
	if len(x.Able) > 0 {
		ahead, err := ask(ctx, a, "explain", func(ctx context.Context) ([]queue.ReadyLane, error) {
			return a.store.Ahead(ctx, x.Job.ID, aheadCount)
		})
		if err != nil {
			return err
		}
		for _, l := range ahead {
			if x.competes(l.Lane) {
				x.Ahead += l.Count
			}
		}
	}
	x.Pause, err = a.pauseOf(ctx, x.Job.Lane())
	return err
}

// explainAble says who could run a job, and what keeps others from it if nobody could.
func (a *Acquirer) explainAble(x *Explanation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	lane := x.Job.Lane()
	x.Able = a.ableProcesses(lane)
	for _, p := range x.Able {
		for _, w := range p.Workers {
			x.Waiting += w.Waiting
			x.Busy += w.Busy
		}
	}
	x.Unheard = a.fleet.epoch == 0
	if len(x.Able) == 0 {
		x.Nearest, x.Mismatch = a.nearest(lane, math.MaxInt)
		x.shortage = a.shortageOf(lane)
	}
	x.Limited = a.dispatch.Limited(lane)
	x.Refused = a.refused.of(x.Job.ID)
}

// explainRunning says what is known of the process that has the job: for how long it has been silent.
func (a *Acquirer) explainRunning(x *Explanation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	x.Unheard = a.fleet.epoch == 0
	a.explainLimit(x)
	ago, known := a.fleet.heard(x.Job.Process, now)
	if !known || x.Job.Process == a.member.process || ago <= 2*a.cfg.Heartbeat {
		return
	}
	x.Silent, x.TakenBackAt = ago, now.Add(a.cfg.Lease-ago)
}

// explainLimit says when a run is told to stop, and given up.
func (a *Acquirer) explainLimit(x *Explanation) {
	if limit := a.runLimit(x.Job); limit > 0 {
		x.LimitAt = x.Job.StartedAt.Add(limit)
	}
	stop := x.LimitAt
	if asked := x.Job.CancelAt; !asked.IsZero() && (stop.IsZero() || asked.Before(stop)) {
		stop = asked
	}
	if !stop.IsZero() && a.cfg.Grace >= 0 {
		x.GivenUpAt = stop.Add(a.cfg.Grace)
	}
}

// competes reports whether a worker that could run the job could also run those of a lane.
func (x *Explanation) competes(l queue.Lane) bool {
	return slices.ContainsFunc(x.Able, func(p queue.Process) bool { return len(ableWorkers(p.Workers, l)) > 0 })
}

// ableProcesses are all processes with able workers, our own as they are now. The caller holds the lock.
func (a *Acquirer) ableProcesses(l queue.Lane) []queue.Process {
	able := a.fleet.able(l, a.member.process)
	if own := ableWorkers(a.workers(), l); len(own) > 0 {
		able = append(able, queue.Process{ID: a.member.process, Name: a.cfg.Instance, Workers: own})
	}
	return able
}

// text is the essence; unable says why no worker can run the job.
func (x Explanation) text(now time.Time, unable string) string {
	j := x.Job
	switch {
	case j.State == queue.Running && x.Silent > 0:
		return fmt.Sprintf("It was handed out at %s, attempt %d. The process that has it was last heard from %s ago; unless it reports again, the job is taken back at %s.",
			stamp(j.StartedAt), j.Attempt, x.Silent.Round(time.Second), stamp(x.TakenBackAt))
	case j.State == queue.Running:
		return x.runText(now)
	case j.State.Final() && j.Error != "":
		return fmt.Sprintf("It %s at %s: %q.", verb(j.State), stamp(j.EndedAt), j.Error)
	case j.State.Final():
		return fmt.Sprintf("It %s at %s.", verb(j.State), stamp(j.EndedAt))
	case x.Pause != nil:
		return x.pauseText()
	case waits(j) && j.ReadyAt.After(now):
		return fmt.Sprintf("It may not start before %s.%s", stamp(j.ReadyAt), lastError(j))
	case x.Refused != nil:
		return x.refusedText()
	case len(x.Able) == 0 && x.Unheard:
		return "It waits. This process has not heard yet which workers there are." + lastError(j)
	case len(x.Able) == 0:
		return text.Unable(unable)
	}
	return x.queueText()
}

func (x Explanation) runText(now time.Time) string {
	j := x.Job
	text := fmt.Sprintf("It has been running since %s, attempt %d.", stamp(j.StartedAt), j.Attempt)
	switch {
	case !j.CancelAt.IsZero():
		text += fmt.Sprintf(" It was asked to stop at %s.", stamp(j.CancelAt))
	case x.LimitAt.IsZero():
		return text
	case now.Before(x.LimitAt):
		return text + fmt.Sprintf(" Its run reaches its limit at %s.", stamp(x.LimitAt))
	default:
		text += fmt.Sprintf(" Its run reached its limit at %s, and it was told to stop.", stamp(x.LimitAt))
	}
	if !x.GivenUpAt.IsZero() {
		text += fmt.Sprintf(" Unless it has stopped by then, it is given up at %s.", stamp(x.GivenUpAt))
	}
	return text
}

func (x Explanation) pauseText() string {
	p := x.Pause
	text := "Jobs like it have been paused since " + stamp(p.At)
	if p.By != "" {
		text += " by " + queue.Quoted(p.By)
	}
	if !p.Until.IsZero() {
		text += ", until " + stamp(p.Until)
	}
	if p.Note != "" {
		text += fmt.Sprintf(": %q", p.Note)
	}
	return text + "." + lastError(x.Job)
}

func (x Explanation) refusedText() string {
	text := "The database refuses to write it"
	if x.Refused.Why != "" {
		text += fmt.Sprintf(": %q", x.Refused.Why)
	}
	again := "with the next claim"
	if !x.Refused.Again.IsZero() {
		again = "at " + stamp(x.Refused.Again)
	}
	return text + ". It is tried again " + again + "." + lastError(x.Job)
}

func (x Explanation) queueText() string {
	ahead := "no job goes before it"
	if x.Ahead > 0 {
		ahead = text.Count(x.Ahead, "job goes before it", "jobs go before it")
	}
	parts := []string{ahead, x.slotsText()}
	if x.Limited {
		parts = append(parts, "a limit of the organization keeps jobs like it from starting")
	}
	return "It waits: " + strings.Join(parts, "; ") + "." + lastError(x.Job)
}

// slotsText says what the slots do that could run a job.
func (x Explanation) slotsText() string {
	slots := x.Waiting + x.Busy
	switch {
	case slots == 0:
		return "no slot that could run it is open"
	case x.Busy == 0:
		return text.Count(slots, "slot could run it, and is free", "slots could run it, and all are free")
	case x.Waiting == 0:
		return text.Count(slots, "slot could run it, and is busy", "slots could run it, and all are busy")
	}
	return fmt.Sprintf("%s slots could run it, of which %s and %s", text.Number(slots),
		text.Count(x.Waiting, "is free", "are free"), text.Count(x.Busy, "is busy", "are busy"))
}

func lastError(j queue.Job) string {
	if j.Error == "" {
		return ""
	}
	return fmt.Sprintf(" The last attempt ended with %q.", j.Error)
}

func verb(s queue.State) string {
	switch s {
	case queue.Succeeded:
		return "succeeded"
	case queue.Failed:
		return "failed"
	}
	return "was canceled"
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
