// Package frontdoor tests package dormouse on the database of many replicas.
package frontdoor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/migrate"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// ledger counts what the replicas do.
type ledger struct {
	mu    sync.Mutex
	built map[uuid.UUID]int // by build
	by    map[string]int    // by replica
}

func (l *ledger) note(b *dormouse.Build, replica string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.built[b.ID]++
	l.by[replica]++
}

func replica(t *testing.T, pool *pgxpool.Pool, name string, l *ledger) *dormouse.Plane {
	t.Helper()
	s, err := postgres.New(pool, postgres.Config{})
	must(t, err)
	pubsub, err := postgres.NewPubsub(pool, postgres.Config{})
	must(t, err)
	p, err := dormouse.New(s, dormouse.Config{
		Pubsub: pubsub, Instance: name, Logger: slog.New(slog.DiscardHandler),
		Build: func(_ context.Context, b *dormouse.Build) error { l.note(b, name); return nil },
		Audit: func(context.Context, dormouse.Event) error { return nil },
	})
	must(t, err)
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Three replicas start and stop workspaces; each build is carried out once.
func TestReplicasOnPostgreSQL(t *testing.T) {
	pool := pgtest.Pool(t)
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	l := &ledger{built: map[uuid.UUID]int{}, by: map[string]int{}}
	ended := make(chan error, 3)
	running, drain := context.WithCancel(ctx)
	var planes []*dormouse.Plane
	for _, name := range []string{"a", "b", "c"} {
		p := replica(t, pool, name, l)
		must(t, p.Migrate(ctx))
		planes = append(planes, p)
		go func() { ended <- p.Run(running) }()
	}
	var all []dormouse.Workspace
	for i := range 30 {
		p := planes[i%3]
		template, err := p.PutTemplate(ctx, dormouse.Template{Name: "go-dev", Policy: dormouse.Policy{ // every replica, at each start
			DefaultTTL: time.Hour, AllowUserTTL: true, AllowUserAutostart: true, AutostartDays: schedule.AllDays,
		}})
		must(t, err)
		w, err := p.Create(ctx, dormouse.NewWorkspace{
			Template: template.ID, Owner: "ann", Name: fmt.Sprint("ws-", i),
			Hours: "Europe/Berlin Mon-Fri 09:00-18:00",
		})
		must(t, err)
		all = append(all, w)
	}
	for i, w := range all {
		var clicks sync.WaitGroup
		for _, p := range planes { // one click at each replica at the same time
			clicks.Go(func() {
				if _, err := p.Start(ctx, w.ID, dormouse.By(fmt.Sprint("user ", i))); err != nil {
					t.Error(err)
				}
			})
		}
		clicks.Wait()
	}
	until(t, ctx, planes[0], all, lifecycle.StatusRunning)
	for _, w := range all {
		_, err := planes[1].Delete(ctx, w.ID)
		must(t, err)
	}
	until(t, ctx, planes[2], all, lifecycle.StatusDeleted)
	drain()
	for range planes {
		must(t, <-ended)
	}
	for id, n := range l.built {
		if n != 1 {
			t.Errorf("build %s was carried out %d times", id, n)
		}
	}
	if len(l.built) != 2*len(all) {
		t.Errorf("%d builds of %d workspaces, want two of each", len(l.built), len(all))
	}
	t.Logf("builds by replica: %v", l.by)
}

// until waits until all workspaces have a status.
func until(t *testing.T, ctx context.Context, p *dormouse.Plane, all []dormouse.Workspace, want lifecycle.Status) {
	t.Helper()
	for _, w := range all {
		for w.Status != want {
			var err error
			if w, err = p.Get(ctx, w.ID); err != nil {
				t.Fatalf("%s is %v, want %v: %v", w.Name, w.Status, want, err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// A schema that nobody has migrated is an error of Run, at once.
func TestRunWithoutTables(t *testing.T) {
	p := replica(t, pgtest.Empty(t), "a", &ledger{})
	var version *migrate.VersionError
	if err := p.Run(t.Context()); !errors.As(err, &version) {
		t.Errorf("Run returned %v", err)
	}
}
