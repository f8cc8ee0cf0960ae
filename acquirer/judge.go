package acquirer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/leases"
	"github.com/dormouse-go/dormouse/internal/outcall"
	"github.com/dormouse-go/dormouse/internal/workqueue"
)

// maxJudges bounds the [LostPolicy] calls at once: those of one policy about one organization, and how many more there are for others
// where all policies hang for that. A call that takes longer than slowVerdict has somebody else go on in its place until it is over; tag
// "substitute". maxSubstitutes bounds those: so many calls may hang beside those that do not, of a dozen organizations. Heartbeats and the
// fence are not theirs.
const (
	maxJudgesOfOne = 16
	maxJudges      = 3 * maxJudgesOfOne
	slowVerdict    = 10 * time.Second
	maxSubstitutes = 12 * maxJudgesOfOne
)

// maxQuestions bounds how many leases are looked up at once that are in doubt. It is the store that is asked, and what hangs in a policy is
// not before it.
const maxQuestions = 4

// maxVerdict is how long a [LostPolicy] may take; tag "policy". It may ask an infrastructure that is busy, and is asked again; what hangs
// has to be told from that some time.
const maxVerdict = 5 * time.Minute

// court is who judges a doubt: the calls of one policy about one organization do not take the places of others.
type court struct {
	organization uuid.UUID
	policy       string // its name in [Config.Lost]
}

func (a *Acquirer) courtOf(job queue.Job) court {
	c := court{organization: job.Organization}
	if a.cfg.Lost[job.Type] != nil {
		c.policy = job.Type
	}
	return c
}

// seekVerdict queues the decision about a lease in doubt, after a look at the job if it is not known whose it is.
func (a *Acquirer) seekVerdict(d leases.Doubt) {
	if d.Seen {
		a.judges.Add(a.courtOf(d.Job), func(ctx context.Context) { a.decide(ctx, d) })
		return
	}
	a.question(func(ctx context.Context) {
		if seen, ok := a.see(ctx, d); ok {
			a.seekVerdict(seen)
		}
	})
}

// question queues what the store is to be asked about leases.
func (a *Acquirer) question(ask workqueue.Work) { a.questions.Add(struct{}{}, ask) }

// decide seeks a verdict about a lease in doubt and stores it.
func (a *Acquirer) decide(ctx context.Context, d leases.Doubt) {
	end, err := a.verdict(ctx, d)
	if err != nil {
		a.cfg.Logger.Warn("no decision about a lost job", "job_id", d.Job.ID, "job_kind", d.Job.Type, "error", err)
		a.postpone(d, a.cfg.Heartbeat)
		return
	}
	if !a.judge(d) {
		a.cfg.Logger.Info("worker came back", "job_id", d.Job.ID, "job_kind", d.Job.Type, "attempt", d.Job.Attempt)
		return
	}
	a.storeVerdict(ctx, d, end)
}

// see looks up the job that a doubt is about. It reports whether the doubt stands.
func (a *Acquirer) see(ctx context.Context, d leases.Doubt) (leases.Doubt, bool) {
	job, err := a.findJob(ctx, d.Lease.Job)
	if err != nil {
		a.postpone(d, a.cfg.Heartbeat)
		return d, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.book.Find(d.Lease)
	seen, ok := a.book.See(d, job, a.member.process)
	if !ok && a.book.Find(d.Lease) == nil { // else the worker came back meanwhile
		a.left(queue.ErrLeaseLost, e)
	}
	return seen, ok
}

// findJob returns the zero job if there is none.
func (a *Acquirer) findJob(ctx context.Context, id uuid.UUID) (job queue.Job, err error) {
	jobs, err := a.lookUp(ctx, "find job", queue.Filter{IDs: []uuid.UUID{id}})
	if len(jobs) > 0 {
		job = jobs[0]
	}
	return job, err
}

// verdict is the end that shall be stored: what the policy says, or a release if no worker was ever given the job.
func (a *Acquirer) verdict(ctx context.Context, d leases.Doubt) (queue.End, error) {
	if !d.Handed {
		return releaseOf(d), nil
	}
	v, err := a.askPolicy(ctx, d.Job)
	a.noteStuck(err)
	if err != nil {
		return queue.End{}, err
	}
	return v.end(d, a.now()), nil
}

func releaseOf(d leases.Doubt) queue.End {
	return queue.End{Handout: queue.Handout{Lease: d.Lease}, Outcome: queue.OutcomeReleased, Process: d.Job.Process}
}

// substitute has somebody else go on with verdicts while a call takes long, until it is over.
func (a *Acquirer) substitute(life context.Context) (over context.CancelFunc) {
	ctx, over := context.WithCancel(life)
	a.verdicts.Go(func() {
		if !a.pause(ctx, slowVerdict, "substitute") {
			return // it takes nobody's place among those that are bounded
		}
		if a.substitutes.Add(1) <= maxSubstitutes {
			a.judges.Run(ctx, life)
		}
		a.substitutes.Add(-1)
	})
	return over
}

// askPolicy asks the host, in the time that it has.
func (a *Acquirer) askPolicy(ctx context.Context, job queue.Job) (Verdict, error) {
	defer a.substitute(ctx)()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	guard := a.clock.AfterFunc(maxVerdict, func() { cancel(context.DeadlineExceeded) }, "policy")
	defer guard.Stop()
	policy := a.courtOf(job).policy
	name := outcall.Name{
		Kind: "Config.Lost[" + strconv.Quote(policy) + "]", Part: "organization " + job.Organization.String(),
	}
	name.One = name.Kind + " for job " + job.ID.String()
	return outcall.DoOn(ctx, a.given, outcall.Apart, name,
		func(ctx context.Context) (Verdict, error) { return callPolicy(ctx, a.cfg.Lost[policy], job) }, nil)
}

// callPolicy calls one; if it panics it has made no decision.
func callPolicy(ctx context.Context, policy LostPolicy, job queue.Job) (v Verdict, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("policy panicked: %v", p)
		}
	}()
	if v, err = policy(ctx, job); err == nil {
		err = v.validate()
	}
	return v, err
}

// judge reports whether a verdict may be stored: not if the worker came back. Whoever is at work on the job in this process
// is interrupted before somebody else can begin.
func (a *Acquirer) judge(d leases.Doubt) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.book.Judge(d)
	if e == nil {
		return false
	}
	holdingOf(e).interrupt(queue.ErrLeaseLost)
	return true
}

// storeVerdict stores the end of a verdict, however long the store fails: nobody is asked twice because of it. Only the first attempt
// keeps others waiting: a row that the database refuses to write may stay so for ever.
func (a *Acquirer) storeVerdict(ctx context.Context, d leases.Doubt, end queue.End) {
	if !a.tryVerdict(ctx, d, end) {
		a.verdicts.Go(func() { a.repeatVerdict(ctx, d, end) })
	}
}

// repeatVerdict stores the end of a verdict that could not be stored, or gives it up when ctx ends.
func (a *Acquirer) repeatVerdict(ctx context.Context, d leases.Doubt, end queue.End) {
	for failures := 0; a.pause(ctx, growing(failures), "verdict"); failures++ {
		if a.tryVerdict(ctx, d, end) {
			return
		}
	}
	a.postpone(d, 0)
}

// tryVerdict reports whether the store has answered.
func (a *Acquirer) tryVerdict(ctx context.Context, d leases.Doubt, end queue.End) bool {
	answer, err := a.ends.Do(ctx, end)
	if err == nil && (answer.Err == nil || queue.IsAnswer(answer.Err)) {
		a.verdictAnswered(d, end, answer)
		return true
	}
	err = errors.Join(err, answer.Err)
	a.cfg.Logger.Warn("lost job not ended", "job_id", d.Job.ID, "job_kind", d.Job.Type, "error", err)
	return false
}

// verdictAnswered takes in the store's answer to a verdict. A refusal says that the lease is not as it was seen, and no
// more: it is looked at again.
func (a *Acquirer) verdictAnswered(d leases.Doubt, end queue.End, answer queue.Ended) {
	if answer.Err != nil {
		a.postpone(d, firstPause)
		return
	}
	a.mu.Lock()
	a.left(queue.ErrLeaseLost, a.book.Judged(d))
	a.mu.Unlock()
	if d.Handed && !answer.Again {
		job := answer.Job // an outline
		job.Payload, job.Trace, job.Progress, job.Error = d.Job.Payload, d.Job.Trace, d.Job.Progress, end.Error
		a.reaped(job, d.Why)
	}
	a.afterEnd(answer.Job)
}

func (a *Acquirer) postpone(d leases.Doubt, pause time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.book.Postpone(d, a.clock.Now().Add(pause))
	a.watchBook()
}

func (a *Acquirer) reaped(job queue.Job, reason string) {
	a.metrics.reaped("heartbeat_lost")
	if job.State.Final() {
		a.metrics.finished(job)
	}
	a.cfg.Logger.Warn("job of a lost worker", "job_id", job.ID, "job_kind", job.Type, "attempt", job.Attempt, "now", job.State)
	a.emit(queue.Event{Kind: queue.EventReaped, At: a.now(), Lane: job.Lane(), Job: job, Process: job.Process, Reason: reason})
}

// release gives claimed jobs back that no worker got, many in one call. What fails here is tried again one by one.
func (a *Acquirer) release(ctx context.Context, doubts []leases.Doubt) {
	for len(doubts) > 0 {
		some := doubts[:min(len(doubts), a.cfg.Batch)]
		doubts = doubts[len(some):]
		ends := make([]queue.End, len(some))
		for i, d := range some {
			ends[i] = releaseOf(d)
		}
		answers, err := a.ends.store(ctx, ends)
		if err != nil {
			a.cfg.Logger.Warn("jobs not given back", "jobs", len(some), "error", err)
		}
		for i, d := range some {
			if err != nil {
				a.postpone(d, firstPause)
				continue
			}
			a.verdictAnswered(d, ends[i], answers[i])
		}
	}
}
