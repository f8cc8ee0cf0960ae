// Package planesource joins the pages of package webui with a control plane: a [Source] reads the workspaces, builds, jobs,
// workers and pools of a dormouse.Plane's organization, and does what a page asks for through the verbs of the plane, in the
// name of who asks.
//
// It reads every workspace of the organization, page by page, whenever the pages want to be younger than
// webui.Config.Refresh.
//
// # What it does not know
//
// What happened beside builds, such as starts that were skipped, and when exactly people worked: the store does not keep that. A
// [Journal] does, in memory; a host that keeps it for longer embeds the Source and answers webui.Recorder and webui.Usage
// itself. What ran last week is counted from the store's builds, from which [Source.Learn] also takes what the journal has not heard.
package planesource

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/webui"
)

// Config says which part of the plane is shown.
type Config struct {
	// Organization is that of the plane, and defaults to it. Another one is refused: buttons would belong to it, and lists to the other.
	Organization uuid.UUID
	// Pools are the names of the pools to show. Defaults to none.
	Pools []string
	// Journal tells what happened beside builds, and when people worked. Without it the pages show neither.
	Journal *Journal
}

// Source is a plane as the pages see it. It is safe for concurrent use.
type Source struct {
	plane *dormouse.Plane
	store store.Store
	cfg   Config

	behavior atomic.Pointer[forecast.Behavior]
	outlook  atomic.Pointer[forecast.Outlook]
	counting sync.Mutex // guards ran
	ran      ran
}

var _ interface {
	webui.Source
	webui.Engine
	webui.Queue
	webui.Workers
	webui.Pools
	webui.Recorder
	webui.Owners
	webui.Usage
	webui.Oracle
	webui.Catalog
	webui.Actor
} = (*Source)(nil)

// New returns the source over a plane and the store that the plane was made with. The error names what cannot be used.
func New(plane *dormouse.Plane, s store.Store, cfg Config) (*Source, error) {
	switch {
	case plane == nil:
		return nil, invalid.New("plane", nil, "must not be nil")
	case s == nil:
		return nil, invalid.New("store", nil, "must not be nil")
	}
	if cfg.Organization == uuid.Nil {
		cfg.Organization = plane.Organization()
	}
	if cfg.Organization != plane.Organization() {
		return nil, invalid.New("Config.Organization", cfg.Organization, "must be that of the plane, or left out")
	}
	for _, name := range cfg.Pools {
		if _, ok := plane.Pool(name); !ok {
			return nil, invalid.New("Config.Pools", name, "must be pools of the plane")
		}
	}
	return &Source{plane: plane, store: s, cfg: cfg}, nil
}

// Workspaces implements [webui.Source].
func (s *Source) Workspaces(ctx context.Context) iter.Seq2[lifecycle.Snapshot, error] {
	return s.list(ctx, lifecycle.ListQuery{})
}

// Owned implements [webui.Owners].
func (s *Source) Owned(ctx context.Context, owner uuid.UUID) iter.Seq2[lifecycle.Snapshot, error] {
	return s.list(ctx, lifecycle.ListQuery{OwnerID: owner})
}

// list yields what a query selects of the organization, page after page.
func (s *Source) list(ctx context.Context, q lifecycle.ListQuery) iter.Seq2[lifecycle.Snapshot, error] {
	return func(yield func(lifecycle.Snapshot, error) bool) {
		q.Organizations, q.Limit = []uuid.UUID{s.cfg.Organization}, lifecycle.MaxPage
		for page, err := range lifecycle.Pages(ctx, s.store, q) {
			if err != nil {
				yield(lifecycle.Snapshot{}, fmt.Errorf("list workspaces: %w", err))
				return
			}
			for _, w := range page {
				if !yield(w, nil) {
					return
				}
			}
		}
	}
}

// Workspace implements [webui.Source]. One of another organization does not exist.
func (s *Source) Workspace(ctx context.Context, id uuid.UUID) (lifecycle.Snapshot, error) {
	return s.plane.Executor().Within(s.cfg.Organization).Load(ctx, id)
}

// buildPage is how many builds are read at once.
const buildPage = 50

// Builds implements [webui.Source].
func (s *Source) Builds(ctx context.Context, id uuid.UUID, since time.Time, limit int) (list []lifecycle.Build, err error) {
	before := int64(0)
	for len(list) < limit {
		page, err := s.store.Builds(ctx, id, before, min(buildPage, limit-len(list)))
		if err != nil {
			return nil, err
		}
		for _, b := range page {
			if list = append(list, b); b.CreatedAt.Before(since) {
				return list, nil
			}
			before = b.Number
		}
		if len(page) == 0 || before <= 1 {
			return list, nil
		}
	}
	return list, nil
}

// Engine implements [webui.Engine].
func (s *Source) Engine(ctx context.Context) (webui.EngineState, error) {
	stats := s.plane.Executor().Stats()
	if stats.Err != nil {
		return webui.EngineState{Err: stats.Err.Error()}, nil
	}
	engine, err := lifecycle.Engine{}, error(nil)
	if h, ok := lifecycle.Ability[lifecycle.Holder](s.store); ok {
		engine, err = h.Engine(ctx)
	}
	return webui.EngineState{LastTick: stats.At, Hold: engine.Hold}, err
}

// Pools implements [webui.Pools]. What a pool has done is counted in this process, since it began.
func (s *Source) Pools(context.Context) (list []webui.Pool, err error) {
	for _, name := range s.cfg.Pools {
		pool, ok := s.plane.Pool(name)
		if !ok {
			continue
		}
		stats := pool.Stats()
		p := webui.Pool{
			Name: name, Desired: stats.Target.Size, Ready: stats.Counts.Ready,
			Starting: stats.Counts.Starting + stats.Counts.Held + stats.Counts.Cleaning, Failed: stats.Counts.Quarantined,
			Hits: int(stats.Claims["warm"]), Note: string(stats.Blocked),
		}
		p.Claims = p.Hits
		for _, reason := range slices.Sorted(maps.Keys(stats.Misses)) {
			n := stats.Misses[reason]
			p.Claims += int(n)
			p.Misses = append(p.Misses, fmt.Sprintf("%d %s", n, reason))
		}
		list = append(list, p)
	}
	return list, nil
}

// Marks implements [webui.Recorder].
func (s *Source) Marks(_ context.Context, id uuid.UUID, since time.Time) ([]webui.Mark, error) {
	if s.cfg.Journal == nil {
		return nil, nil
	}
	return s.cfg.Journal.Marks(id, since), nil
}

// Sessions implements [webui.Usage].
func (s *Source) Sessions(_ context.Context, id uuid.UUID) ([]forecast.Session, error) {
	if s.cfg.Journal == nil {
		return nil, nil
	}
	return s.cfg.Journal.Sessions(id), nil
}

// Act implements [webui.Actor].
func (s *Source) Act(ctx context.Context, who webui.Viewer, a webui.Action) (err error) {
	by := dormouse.By(who.Name)
	switch id := a.Workspace; a.Kind {
	case webui.ActStart:
		_, err = s.plane.Start(ctx, id, by)
	case webui.ActStop:
		_, err = s.plane.Stop(ctx, id, by)
	case webui.ActExtend:
		_, err = s.plane.Extend(ctx, id, a.Until, by)
	case webui.ActWake:
		_, err = s.plane.Wake(ctx, id, by)
	case webui.ActSetHours:
		_, err = s.plane.SetSchedule(ctx, id, dormouse.Schedule{Hours: a.Hours}, by)
	case webui.ActHold:
		_, err = s.plane.Hold(ctx, id, a.Hold, by)
	case webui.ActRetry:
		_, err = s.plane.Update(ctx, id, lifecycle.ClearAttention(), by)
	case webui.ActSetDeadline:
		_, err = s.plane.Update(ctx, id, lifecycle.SetDeadline(a.Until), by)
	case webui.ActSetTTL:
		_, err = s.plane.SetTTL(ctx, id, a.TTL, by)
	case webui.ActDelete:
		_, err = s.plane.Delete(ctx, id, by)
	case webui.ActCreate:
		err = s.create(ctx, who, a, by)
	default:
		err = invalid.New("do", string(a.Kind), "must be an action of the pages")
	}
	return shown(err)
}

// shown is an error as a viewer may read it. What went wrong within the service is for its log alone, as it is for an API.
func shown(err error) error {
	if dormouse.ProblemOf(err).Status < http.StatusInternalServerError {
		return err
	}
	return fmt.Errorf("%w: %w", lifecycle.ErrUnavailable, err)
}

// Templates implements [webui.Catalog]: those of the organization, up to a thousand.
func (s *Source) Templates(ctx context.Context, _ webui.Viewer) ([]lifecycle.Template, error) {
	return s.store.Templates(ctx, lifecycle.TemplateQuery{Organizations: []uuid.UUID{s.cfg.Organization}, Limit: lifecycle.MaxPage})
}

// create makes a workspace for the viewer, and starts it.
func (s *Source) create(ctx context.Context, who webui.Viewer, a webui.Action, by dormouse.Option) error {
	owner, err := s.owner(ctx, who)
	if err != nil {
		return err
	}
	n := dormouse.NewWorkspace{ID: a.Workspace, Template: a.Template, Owner: owner, Name: a.Name, TTL: a.TTL}
	if _, err := s.plane.Create(ctx, n, by); err != nil {
		return err
	}
	_, err = s.plane.Start(ctx, a.Workspace, by)
	return err
}

// owner is the name of the owner that a viewer is: their own name, unless they go by another one.
func (s *Source) owner(ctx context.Context, who webui.Viewer) (string, error) {
	if who.Owner == s.plane.OwnerID(who.Name) {
		return who.Name, nil
	}
	o, ok, err := s.store.Owner(ctx, who.Owner)
	if err == nil && !ok {
		err = invalid.New("Viewer.Owner", who.Owner, "must be an owner")
	}
	return o.Name, err
}
