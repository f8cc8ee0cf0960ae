package workerpool

import (
	"fmt"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/internal/text"
)

// WorkerExplanation says why a worker is as it is.
type WorkerExplanation struct {
	Worker Worker
	// Shutdown: the next plan shuts it down. Otherwise it is kept.
	Shutdown bool
	// Reason is the rule that decides, as of now.
	Reason Reason
	// Next is when the plan's answer may change by itself.
	Next time.Time
	Text string
}

// ExplainWorker says by which rule a worker is kept or shut down. It makes a plan, so that it looks at all workers.
func (p *Pool) ExplainWorker(id InstanceID) (WorkerExplanation, error) {
	records, workers := p.snapshot(nil, true)
	p.mu.Lock()
	jobs, limits, now := p.waiting(), p.limits(), p.now()
	rules, known := Rules{}, p.byID[id]
	if known != nil {
		rules = *known.kind.rules
	}
	p.mu.Unlock()
	if known == nil {
		return WorkerExplanation{}, ErrUnknownWorker
	}
	a := Plan(jobs, workers, limits, now)
	x := WorkerExplanation{Next: a.Next}
	find := func(list []Verdict, shutdown bool) {
		for _, v := range list {
			if records[v.Worker] == known {
				x.Worker, x.Reason, x.Shutdown = workers[v.Worker], v.Reason, shutdown
			}
		}
	}
	find(a.Keeps, false)
	find(a.Shutdowns, true)
	if x.Reason == "" && x.Worker.ID == "" {
		return WorkerExplanation{}, ErrUnknownWorker // it went meanwhile
	}
	x.Text = x.text(rules, now)
	return x, nil
}

func (x *WorkerExplanation) text(rules Rules, now time.Time) string {
	w := &x.Worker
	parts := []string{fmt.Sprintf("%s is %s", w.ID, w.State)}
	if b := w.Behavior; b.Idle != BehaviorRun {
		part := fmt.Sprintf("%s put it on %s", text.Quoted(b.Owner), b.Idle)
		if b.Reason != "" {
			part += fmt.Sprintf(" (%s)", text.Quoted(b.Reason))
		}
		if !b.Until.IsZero() {
			part += " until " + stamp(b.Until)
		}
		parts = append(parts, part)
	}
	if n := w.active(); n > 0 {
		parts = append(parts, text.Count(n, "job is on it", "jobs are on it"))
	}
	if !w.FailingSince.IsZero() && w.State < Shutdown {
		part := "its probes have been failing since " + stamp(w.FailingSince)
		if at, _ := w.failLimit(&rules); !at.IsZero() {
			part += ", it is given up at " + stamp(at)
		} else if rules.Braked {
			part += ", but so many fail that none is given up"
		}
		parts = append(parts, part)
	}
	switch {
	case w.State == Shutdown:
		parts = append(parts, fmt.Sprintf("its end was asked for at %s, %s, because of %q", stamp(w.ShutdownAt), text.Times(int(w.Destroys)), w.Reason))
	case x.Shutdown:
		parts = append(parts, fmt.Sprintf("it is shut down because of %q", x.Reason))
	default:
		parts = append(parts, fmt.Sprintf("it is kept because of %q", x.Reason))
	}
	return strings.Join(parts, "; ") + "."
}

// JobExplanation says where a job is, or why it is on no worker.
type JobExplanation struct {
	Job    JobID
	Worker InstanceID
	// Reason is the rule that keeps it waiting; empty if it is on a worker.
	Reason Reason
	Type   string
	// Until is when the rule ends by itself, if that is known.
	Until time.Time
	Text  string
}

// ExplainJob says where a job is, or which rule of the last plan keeps it waiting. [ErrUnknownJob] if neither a worker nor
// the queue, as last read, has it.
func (p *Pool) ExplainJob(id JobID) (JobExplanation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := JobExplanation{Job: id}
	if r := p.jobs[id]; r != nil {
		j := r.Jobs[r.job(id)]
		x.Worker, x.Type = r.ID, r.Type
		x.Text = fmt.Sprintf("It was given to %s at %s, and is %s.", r.ID, stamp(j.AssignedAt), j.Phase)
		if !j.KillAt.IsZero() {
			x.Text += fmt.Sprintf(" It was asked to end at %s: %s.", stamp(j.KillAt), text.Quoted(j.KillReason))
		}
		return x, nil
	}
	if w, ok := p.plan.waits[id]; ok {
		x.Reason, x.Type, x.Until = w.Reason, w.Type, w.Until
		x.Text = waitText(x)
		return x, nil
	}
	if v, ok := p.plan.reserved[id]; ok {
		x.Reason, x.Type, x.Worker = ReasonWorkerBooting, v.typeName, v.worker
		x.Text = fmt.Sprintf("It waits for a worker of type %q that is not ready yet.", v.typeName)
		return x, nil
	}
	switch j := p.view.find(id); {
	case j == nil:
		return JobExplanation{}, ErrUnknownJob
	case j.State == JobAssigned:
		x.Reason = ReasonUnknown
		x.Text = "The queue says that it is on a worker, but it is on none; it is released when every worker has answered."
	case j.State == JobCanceled:
		x.Text = "It was canceled, and is on no worker."
	default:
		x.Text = "It has not been planned yet."
	}
	return x, nil
}

// waitTexts are the rules that keep jobs waiting, in words.
var waitTexts = map[Reason]string{
	ReasonNoType:       "no type of worker is large enough for it and has the labels that it requires",
	ReasonJobLimit:     "as many jobs run as may",
	ReasonMaxWorkers:   "the pool has as many workers as it may",
	ReasonMaxPrice:     "the pool's workers cost as much as they may",
	ReasonTypeMax:      "there are as many workers of the type as there may be",
	ReasonMaxCreating:  "enough workers are being created",
	ReasonQuota:        "the provider's quota is reached",
	ReasonCapacity:     "the provider has no more capacity",
	ReasonRateLimit:    "the provider wants a pause",
	ReasonCreateFailed: "workers of the type cannot be created",
	ReasonBootFailed:   "workers of the type do not become ready",
	ReasonCommandsHang: "too many commands on workers that are gone do not return",
	ReasonNotListed:    "the provider has not listed its instances yet",
}

func waitText(x JobExplanation) string {
	text := "It waits: " + waitTexts[x.Reason]
	if x.Type != "" {
		text += fmt.Sprintf(" (type %q)", x.Type)
	}
	if !x.Until.IsZero() {
		text += "; the next try is at " + stamp(x.Until)
	}
	return text + "."
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
