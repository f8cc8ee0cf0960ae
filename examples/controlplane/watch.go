//go:build linux

package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/provision"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/webui/planesource"
)

// watcher compares the processes of this machine with the workspaces. It tells the plane of connections and of processes that have
// ended, and ends processes that nobody knows of.
type watcher struct {
	plane     *dormouse.Plane
	records   *records.DB
	processes *provision.Processes
	journal   *planesource.Journal
	clock     quartz.Clock
	log       *slog.Logger

	used    map[uuid.UUID]time.Time
	strange map[uuid.UUID]bool // had no business here at the last look
}

func (w *watcher) run(ctx context.Context, every time.Duration) error {
	w.used, w.strange = map[uuid.UUID]time.Time{}, map[uuid.UUID]bool{}
	for {
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "the processes of workspaces cannot be looked at", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

func (w *watcher) look(ctx context.Context) error {
	// The workspaces first: what is started between the two questions is there and not missed.
	expected, err := w.expected(ctx)
	if err != nil {
		return err
	}
	found, err := w.processes.List(ctx)
	if err != nil {
		return err
	}
	here := make(map[uuid.UUID]bool, len(found))
	for _, p := range found {
		here[p.ID] = p.Status == prewarm.StatusReady || p.Status == prewarm.StatusUnknown || p.Status == prewarm.StatusStarting
		w.activity(p)
		if err := w.business(ctx, p, expected); err != nil {
			return err
		}
	}
	for id, ws := range expected {
		if !here[id] {
			w.gone(ctx, ws)
		}
	}
	return nil
}

// expected are the workspaces that run as processes, and members of pools whose start has said where they are.
func (w *watcher) expected(ctx context.Context) (map[uuid.UUID]dormouse.Workspace, error) {
	running := make(map[uuid.UUID]dormouse.Workspace)
	kinds := make(map[uuid.UUID]bool) // templates of processes
	q := dormouse.ListQuery{Statuses: []lifecycle.Status{lifecycle.StatusRunning, lifecycle.StatusManaged}, Limit: 1000}
	for {
		page, err := w.plane.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, ws := range page {
			if _, known := kinds[ws.TemplateID]; !known {
				if kinds[ws.TemplateID], err = w.ofProcesses(ctx, ws.TemplateID); err != nil {
					return nil, err
				}
			}
			if kinds[ws.TemplateID] && (ws.Status == lifecycle.StatusRunning || ws.Result != "") {
				running[ws.ID] = ws
			}
		}
		if len(page) < q.Limit {
			return running, nil
		}
		q = q.Following(page[len(page)-1])
	}
}

func (w *watcher) ofProcesses(ctx context.Context, template uuid.UUID) (bool, error) {
	t, err := w.plane.Template(ctx, template)
	if err != nil {
		return false, err
	}
	v, _, err := w.records.Version(ctx, t.ActiveVersion)
	return v.Provisioner == provision.Process, err
}

// activity tells the plane that somebody has a connection.
func (w *watcher) activity(p provision.Seen) {
	if p.UsedAt.IsZero() || p.UsedAt.Equal(w.used[p.ID]) {
		return
	}
	if _, seen := w.used[p.ID]; seen || time.Since(p.UsedAt) < time.Minute { // not what was before this process
		now := w.clock.Now()
		w.plane.Activity(p.ID, now)
		w.journal.Used(p.ID, now)
	}
	w.used[p.ID] = p.UsedAt
}

// gone tells the plane that the process of a workspace has ended by itself.
func (w *watcher) gone(ctx context.Context, ws dormouse.Workspace) {
	_, err := w.plane.Observe(ctx, ws.ID, dormouse.Observation{BuildID: ws.BuildID}, dormouse.By("watcher"), dormouse.Note("its process has ended"))
	if err != nil {
		w.log.WarnContext(ctx, "a process has ended, and that cannot be written", "workspace_id", ws.ID, "error", err)
		return
	}
	w.log.WarnContext(ctx, "the process of a workspace has ended by itself", "workspace_id", ws.ID, "workspace", ws.Name)
}

// business ends a process of a workspace that is gone or stopped, when it was so at two looks: a build may be on its way.
func (w *watcher) business(ctx context.Context, p provision.Seen, expected map[uuid.UUID]dormouse.Workspace) error {
	if _, ok := expected[p.ID]; ok {
		delete(w.strange, p.ID)
		return nil
	}
	has, err := w.hasBusiness(ctx, p.ID)
	if err != nil || has {
		delete(w.strange, p.ID)
		return err
	}
	if !w.strange[p.ID] {
		w.strange[p.ID] = true
		return nil
	}
	delete(w.strange, p.ID)
	w.log.WarnContext(ctx, "a process belongs to no workspace that runs, and is ended", "workspace_id", p.ID)
	return w.processes.Stop(ctx, p.ID, provision.Order{}, io.Discard)
}

// hasBusiness reports whether a workspace may have a process: it runs, is being built, or a build of it has failed and will be
// cleaned up.
func (w *watcher) hasBusiness(ctx context.Context, id uuid.UUID) (bool, error) {
	ws, err := w.plane.Get(ctx, id)
	switch {
	case isNotFound(err):
		return false, nil
	case err != nil:
		return false, err
	}
	return ws.Status != lifecycle.StatusStopped && ws.Status != lifecycle.StatusDeleted && ws.Status != lifecycle.StatusNew && ws.Status != lifecycle.StatusDormant, nil
}
