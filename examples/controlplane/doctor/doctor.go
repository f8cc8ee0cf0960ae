// Package doctor looks for what is wrong with a control plane, over its API or directly on its database.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/examples/controlplane/builds"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// Finding is what one examination says.
type Finding struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}

// Report is what all examinations say.
type Report struct {
	At       time.Time `json:"at"`
	OK       bool      `json:"ok"`
	Findings []Finding `json:"findings"`
}

// late is how long after its instant something is overdue: a tick, and one more.
const late = 2 * time.Minute

// Examine looks at everything. What cannot be looked at is a finding too.
func Examine(ctx context.Context, p *dormouse.Plane, s store.Store, now time.Time) Report {
	e := examination{ctx, p, s, now}
	r := Report{At: now, OK: true}
	for _, look := range []struct {
		name string
		at   func() (bool, string, error)
	}{{"schema", e.schema}, {"processes", e.processes}, {"clocks", e.clocks}, {"overdue", e.overdue}, {"attention", e.attention}, {"unmatched", e.unmatched}, {"refused", e.refused}, {"calls", e.calls}, {"leases", e.leases}, {"pauses", e.pauses}} {
		ok, text, err := look.at()
		if err != nil {
			ok, text = false, "cannot be looked at: "+err.Error()
		}
		r.OK = r.OK && ok
		r.Findings = append(r.Findings, Finding{look.name, ok, text})
	}
	return r
}

type examination struct {
	context.Context
	plane *dormouse.Plane
	store store.Store
	now   time.Time
}

func (e examination) schema() (bool, string, error) {
	if _, err := e.store.NextWake(e, lifecycle.Shard{}); err != nil {
		return false, "", err
	}
	return true, "the tables are those that this version works on", nil
}

func (e examination) processes() (bool, string, error) {
	list, err := e.plane.Processes(e, uuid.Nil, 1000)
	live := 0
	for _, p := range list {
		if !p.Lost {
			live++
		}
	}
	return live > 0, fmt.Sprintf("%d live, %d given up", live, len(list)-live), err
}

// clocks compares the signs of life of all processes with our clock: one that is ahead of it has another clock.
func (e examination) clocks() (bool, string, error) {
	list, err := e.plane.Processes(e, uuid.Nil, 1000)
	var worst time.Duration
	who := ""
	for _, p := range list {
		if ahead := p.SeenAt.Sub(e.now); !p.Lost && ahead > worst {
			worst, who = ahead, p.Name
		}
	}
	if worst > time.Second {
		return false, fmt.Sprintf("the clock of %q is %s ahead of ours", who, worst.Round(time.Millisecond)), err
	}
	return true, "no process is ahead of our clock", err
}

func (e examination) overdue() (bool, string, error) {
	list, err := e.plane.List(e, dormouse.ListQuery{DueBy: e.now.Add(-late), Order: lifecycle.ListByWake, Limit: 1000})
	if err != nil || len(list) == 0 {
		return true, "nothing", err
	}
	first := list[0]
	return false, fmt.Sprintf("%s, since %s: %s", many(len(list), "a workspace", "%d workspaces"), first.WakeAt.Format(time.RFC3339), named(first)), nil
}

func (e examination) attention() (bool, string, error) {
	n, first := 0, ""
	for after := uuid.Nil; ; {
		page, err := e.plane.List(e, dormouse.ListQuery{Limit: 1000, After: after})
		if err != nil {
			return false, "", err
		}
		for _, w := range page {
			after = w.ID
			if !w.AttentionAt.IsZero() {
				if n++; n == 1 {
					first = named(w) + ": " + queue.Quoted(w.Problem)
				}
			}
		}
		if len(page) < 1000 {
			break
		}
	}
	if n == 0 {
		return true, "no workspace needs a person", nil
	}
	return false, many(n, "a workspace needs a person: ", "%d workspaces need a person, such as ") + first, nil
}

// mostAsked bounds the explanations of one report: each is a question to the store.
const mostAsked = 50

// asked is what the explanations of some jobs say: how many of them are as looked for, and the first one. Unheard: they know nothing of
// other processes.
type asked struct {
	jobs, found int
	first       string
	unheard     bool
}

// notHere is said where a plane that does not run is asked, as directly on a database.
const notHere = "; which processes and workers live, only those of the control plane hear: ask over its API"

// ask explains the jobs of a state, the latest first, and counts those that are as looked for.
func (e examination) ask(state queue.State, found func(acquirer.Explanation) bool) (a asked, err error) {
	page, err := e.plane.Acquirer().List(e, queue.JobQuery{Organization: e.plane.Organization(), States: []queue.State{state}, Limit: mostAsked})
	if err != nil {
		return a, err
	}
	for _, j := range page.Jobs {
		x, err := e.plane.Acquirer().Explain(e, j.ID)
		switch {
		case errors.Is(err, queue.ErrNotFound):
			continue
		case err != nil:
			return a, err
		case x.Job.State != state:
			continue
		}
		if err := e.take(&a, x, found(x)); err != nil {
			return a, err
		}
	}
	return a, nil
}

// take takes in what one explanation says.
func (e examination) take(a *asked, x acquirer.Explanation, found bool) (err error) {
	a.unheard = a.unheard || x.Unheard
	a.jobs++
	if !found {
		return nil
	}
	if a.found++; a.found == 1 {
		a.first, err = e.sentence(x)
	}
	return err
}

// sentence is what an explanation says, and of which job: of a build the workspace.
func (e examination) sentence(x acquirer.Explanation) (string, error) {
	of, err := builds.Of(e, e.store, e.plane.Organization(), []queue.Job{x.Job})
	if err != nil {
		return "", err
	}
	b, ok := of[x.Job.ID]
	if !ok {
		return fmt.Sprintf("job %s of type %s: %s", x.Job.ID, queue.Quoted(x.Job.Type), x.Text), nil
	}
	w, err := e.plane.Get(e, b.WorkspaceID)
	if err != nil && !errors.Is(err, lifecycle.ErrNotFound) {
		return "", err
	}
	w.Name = b.Name
	return fmt.Sprintf("the %s of %s: %s", b.Transition, named(w), x.Text), nil
}

// unmatched are jobs that wait for a worker that is not there, and not for an end of a pause.
func (e examination) unmatched() (bool, string, error) {
	a, err := e.ask(queue.Pending, func(x acquirer.Explanation) bool { return len(x.Able) == 0 && x.Pause == nil })
	switch {
	case err != nil:
		return false, "", err
	case a.unheard && a.found > 0:
		return true, many(a.jobs, "a job waits", "%d jobs wait") + orSo(a.jobs) + notHere, nil
	case a.jobs == 0:
		return true, "no job waits", nil
	case a.found == 0:
		return true, many(a.jobs, "none; a job waits", "none; %d jobs wait") + orSo(a.jobs), nil
	}
	return false, many(a.found, "", "%d jobs have no worker"+orSo(a.jobs)+", such as ") + a.first, nil
}

// refused are jobs that the database refuses to write, as far as the process that is asked has come upon them; what is paused waits for
// something else.
func (e examination) refused() (bool, string, error) {
	if !e.plane.Acquirer().Stats().Registered {
		return true, "not known; which jobs are refused, only those of the control plane hear: ask over its API", nil
	}
	a, err := e.explainRefused()
	switch {
	case err != nil:
		return false, "", err
	case a.found == 0:
		return true, "none that this process has come upon", nil
	}
	more := ""
	if a.found == mostAsked {
		more = " (there may be more)"
	}
	return false, many(a.found, "", "%d jobs"+more+", such as ") + a.first + " Mend what refuses it, or delete the job.", nil
}

// explainRefused counts the organization's refused jobs, and explains the first one.
func (e examination) explainRefused() (a asked, err error) {
	jobs := e.plane.Acquirer().Within(e.plane.Organization())
	for _, refusal := range e.plane.Acquirer().Refused() {
		if _, err := jobs.Job(e, refusal.Job); errors.Is(err, queue.ErrNotFound) { // it is another organization's, or is gone
			continue
		}
		x, err := e.plane.Acquirer().Explain(e, refusal.Job)
		switch {
		case errors.Is(err, queue.ErrNotFound):
			continue
		case err != nil:
			return a, err
		}
		if err := e.take(&a, x, x.Refused != nil && x.Pause == nil && x.Job.State == queue.Pending); err != nil || a.found == mostAsked {
			return a, err
		}
	}
	return a, nil
}

// calls are those with which the process that is asked hands out jobs: whether the store fails the organization, and what does not return.
func (e examination) calls() (bool, string, error) {
	switch s := e.plane.Acquirer().Stats(); {
	case !s.Registered:
		return true, "not known; which calls fail, only those of the control plane know: ask over its API", nil
	case s.Failing[e.plane.Organization()] > 0:
		return false, "the last " + many(s.Failing[e.plane.Organization()], "call that hands", "%d calls that hand") +
			" out jobs of the organization failed; the log of the control plane says why", nil
	case s.Stuck > 0:
		return false, many(s.Stuck, "a call of the store or of the host has", "%d calls of the store or of the host have") +
			" not returned; the log of the control plane names what", nil
	}
	return true, "claims and listings go through, and every call returns", nil
}

func (e examination) leases() (bool, string, error) {
	a, err := e.ask(queue.Running, func(x acquirer.Explanation) bool { return x.Silent > 0 })
	switch {
	case err != nil:
		return false, "", err
	case a.jobs == 0:
		return true, "no job runs", nil
	case a.unheard:
		return true, many(a.jobs, "a job runs", "%d jobs run") + orSo(a.jobs) + notHere, nil
	case a.found == 0:
		return true, many(a.jobs, "a job runs, and its process lives", "%d jobs run, and their processes live") + orSo(a.jobs), nil
	}
	return false, "held by a process that is silent: " + many(a.found, "", "%d jobs, such as ") + a.first, nil
}

// orSo says that there may be more jobs than were looked at.
func orSo(looked int) string {
	if looked < mostAsked {
		return ""
	}
	return " (of the latest " + strconv.Itoa(mostAsked) + ")"
}

func (e examination) pauses() (bool, string, error) {
	list, err := e.plane.Acquirer().Within(e.plane.Organization()).Pauses(e)
	if err != nil || len(list) == 0 {
		return true, "nothing is paused", err
	}
	p := list[0]
	text := "jobs are not handed out"
	if p.Type != "" {
		text = "jobs of type " + queue.Quoted(p.Type) + " are not handed out"
	}
	if !p.Until.IsZero() {
		text += " until " + p.Until.Format(time.RFC3339)
	}
	if p.By != "" {
		text += ": paused by " + queue.Quoted(p.By)
	}
	if n := len(list) - 1; n > 0 {
		text += many(n, "; there is another pause", "; there are %d more pauses")
	}
	return false, text, nil
}

// named is a workspace as people call it.
func named(w dormouse.Workspace) string {
	if w.Owner == "" {
		return queue.Quoted(w.Name)
	}
	return queue.Quoted(w.Name) + " of " + queue.Quoted(w.Owner)
}

// many is a text for one, or for several, with their number.
func many(n int, one, several string) string {
	if n == 1 {
		return one
	}
	return strings.Replace(several, "%d", strconv.Itoa(n), 1)
}
