package webuitest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/webui"
)

// Engine implements [webui.Engine].
func (f *Fleet) Engine(context.Context) (webui.EngineState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return webui.EngineState{
		LastTick: f.now.Add(-2 * time.Second),
	}, nil
}

// WaitingJobs implements [webui.Queue].
func (f *Fleet) WaitingJobs(_ context.Context, limit int) (jobs []webui.Job, total int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.members {
		if m.Build.Status == lifecycle.JobPending {
			jobs = append(jobs, m.job())
		}
	}
	slices.SortFunc(jobs, func(a, b webui.Job) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Name, b.Name))
	})
	total = len(jobs)
	return jobs[:min(limit, total)], total, nil
}

func (m *member) job() webui.Job {
	j := webui.Job{
		ID: m.Build.ID, Workspace: m.Workspace.ID, Name: m.Workspace.Name, Work: m.Build.Transition.String(),
		CreatedAt: m.Build.CreatedAt, Text: "It waits: no job goes before it.",
	}
	if m.missing.Key != "" {
		j.Unmatched, j.Missing = true, []string{m.missing.Key + "=" + m.missing.Value}
		j.Text = text.Unable(text.OfNearest(queue.Mismatch{Missing: []queue.Tag{m.missing}}.String()))
	}
	return j
}

// Workers implements [webui.Workers].
func (f *Fleet) Workers(context.Context) ([]webui.Worker, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var running []string
	for _, m := range f.members {
		if m.Build.Status == lifecycle.JobRunning {
			running = append(running, m.Workspace.Name+" "+m.Build.Transition.String())
		}
	}
	take := func(n int) (jobs []string) {
		n = min(n, len(running))
		jobs, running = running[:n], running[n:]
		return jobs
	}
	return []webui.Worker{
		{Name: "w-1", Tags: []string{"os=linux"}, Slots: 2, Jobs: take(1)},
		{Name: "w-2", Tags: []string{"os=linux"}, Slots: 2, Jobs: take(2)},
		{Name: "w-3", Tags: []string{"os=linux"}, Slots: 4, Jobs: take(4)},
		{Name: "w-4", Tags: []string{"os=linux", "gpu=l4"}, Slots: 1},
		{Name: "w-5", Tags: []string{"os=linux"}, Slots: 2, Jobs: take(1), Closed: true, Note: "goes when its job has ended"},
	}, nil
}

// Pools implements [webui.Pools].
func (f *Fleet) Pools(context.Context) ([]webui.Pool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	since := f.now.Add(-24 * time.Hour)
	return []webui.Pool{
		{Name: "go-dev", Desired: 8, Ready: 5, Starting: 3, Hits: 36, Claims: 41, Since: since, Misses: []string{"3 pool empty", "1 older version", "1 other preset"}},
		{Name: "docs", Desired: 3, Ready: 3, Hits: 12, Claims: 12, Since: since},
		{Name: "ml-gpu", Desired: 4, Ready: 1, Starting: 2, Failed: 1, Hits: 5, Claims: 9, Since: since, Misses: []string{"3 pool empty", "1 member broke"}, Note: "w-4 is the only worker with gpu=l4"},
	}, nil
}

// Act implements [webui.Actor].
func (f *Fleet) Act(_ context.Context, who webui.Viewer, a webui.Action) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.byID[a.Workspace]
	if !ok {
		return lifecycle.ErrNotFound
	}
	verbs, err := verbsOf(who, a)
	if err != nil {
		return err
	}
	for _, v := range verbs {
		if err := m.apply(v, f.now); err != nil && (len(verbs) == 1 || !errors.Is(err, lifecycle.ErrUnchanged)) {
			return fmt.Errorf("%s %s: %w", a.Kind, m.Workspace.Name, err)
		}
	}
	return nil
}

func verbsOf(who webui.Viewer, a webui.Action) ([]lifecycle.Verb, error) {
	switch a.Kind {
	case webui.ActStart:
		return []lifecycle.Verb{lifecycle.RequestBuild(lifecycle.TransitionStart, [16]byte{})}, nil
	case webui.ActStop:
		return []lifecycle.Verb{lifecycle.RequestBuild(lifecycle.TransitionStop, [16]byte{})}, nil
	case webui.ActExtend:
		return []lifecycle.Verb{lifecycle.Extend(a.Until)}, nil
	case webui.ActWake:
		return []lifecycle.Verb{lifecycle.EndDormancy()}, nil
	case webui.ActRetry:
		return []lifecycle.Verb{lifecycle.ClearAttention()}, nil
	case webui.ActSetTTL:
		return []lifecycle.Verb{lifecycle.SetTTL(a.TTL)}, nil
	case webui.ActSetDeadline:
		return []lifecycle.Verb{lifecycle.SetDeadline(a.Until)}, nil
	case webui.ActDelete:
		return []lifecycle.Verb{lifecycle.RequestBuild(lifecycle.TransitionDelete, [16]byte{})}, nil
	case webui.ActHold:
		a.Hold.By = who.Name
		return []lifecycle.Verb{lifecycle.SetHold(a.Hold)}, nil
	}
	return hoursVerbs(a.Hours)
}

func hoursVerbs(text string) ([]lifecycle.Verb, error) {
	if text == "" {
		return []lifecycle.Verb{lifecycle.SetAutostart(nil), lifecycle.SetAutostop(nil)}, nil
	}
	h, err := schedule.ParseHours(text, schedule.Options{})
	if err != nil {
		return nil, err
	}
	return []lifecycle.Verb{lifecycle.SetAutostart(h.Autostart()), lifecycle.SetAutostop(h.Autostop())}, nil
}
