// Package doctor looks for what is wrong with a control plane, over its API or directly on its database.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer/queue"
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
	}{{"schema", e.schema}, {"processes", e.processes}, {"clocks", e.clocks}, {"overdue", e.overdue}, {"attention", e.attention}, {"unmatched", e.unmatched}, {"leases", e.leases}, {"pauses", e.pauses}} {
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
	return false, fmt.Sprintf("%d, the first since %s: %s of %s", len(list), list[0].WakeAt.Format(time.RFC3339), queue.Quoted(list[0].Name), queue.Quoted(list[0].Owner)), nil
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
					first = queue.Quoted(w.Name) + ": " + queue.Quoted(w.Problem)
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
	return false, fmt.Sprintf("%d workspaces need a person, first %s", n, first), nil
}

func (e examination) unmatched() (bool, string, error) {
	page, err := e.plane.Acquirer().List(e, queue.JobQuery{States: []queue.State{queue.Pending}, Limit: queue.MaxPage})
	if err != nil {
		return false, "", err
	}
	n, first := 0, ""
	for _, j := range page.Jobs {
		x, err := e.plane.Acquirer().Explain(e, j.ID)
		switch {
		case errors.Is(err, queue.ErrNotFound):
		case err != nil:
			return false, "", err
		case x.Job.State == queue.Pending && len(x.Able) == 0:
			if n++; n == 1 {
				first = x.Text
			}
		}
		if n >= 20 { // an explanation is a question to the store
			break
		}
	}
	if n == 0 {
		return true, fmt.Sprintf("none of %d waiting jobs", len(page.Jobs)), nil
	}
	return false, fmt.Sprintf("%d of %d waiting jobs or more: %s", n, len(page.Jobs), first), nil
}

func (e examination) leases() (bool, string, error) {
	page, err := e.plane.Acquirer().List(e, queue.JobQuery{States: []queue.State{queue.Running}, Limit: queue.MaxPage})
	if err != nil {
		return false, "", err
	}
	silent, first := 0, ""
	for i, j := range page.Jobs {
		if i == 50 {
			break
		}
		x, err := e.plane.Acquirer().Explain(e, j.ID)
		if err == nil && x.Silent > 0 {
			if silent++; silent == 1 {
				first = x.Text
			}
		}
	}
	if silent == 0 {
		return true, fmt.Sprintf("%d jobs run, and their processes live", len(page.Jobs)), nil
	}
	return false, fmt.Sprintf("%d jobs are held by processes that are silent: %s", silent, first), nil
}

func (e examination) pauses() (bool, string, error) {
	list, err := e.plane.Acquirer().Pauses(e)
	if err != nil || len(list) == 0 {
		return true, "nothing is paused", err
	}
	return false, fmt.Sprintf("jobs are not handed out: %d pauses, the first by %s", len(list), queue.Quoted(list[0].By)), nil
}
