// Command member is a process of a fleet in a rolling upgrade. The test builds it with the library as it is and as it was at earlier
// commits, so it uses what all of them have. It does what the lines of its input say, and answers each with one line.
package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "modernc.org/sqlite"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "member:", err)
		os.Exit(1)
	}
}

// migrating is a store that makes its tables.
type migrating interface {
	store.Store
	Migrate(context.Context) error
}

func open(ctx context.Context, kind, source string) (migrating, error) {
	if kind == "sqlite" {
		db, err := sqlite.Open("sqlite", source)
		if err != nil {
			return nil, err
		}
		return sqlite.New(db, sqlite.Config{BusyTimeout: time.Minute})
	}
	pool, err := pgxpool.New(ctx, source)
	if err != nil {
		return nil, err
	}
	return postgres.New(pool, postgres.Config{})
}

func run(ctx context.Context, kind, source string) error {
	s, err := open(ctx, kind, source)
	if err != nil {
		return err
	}
	e, err := executor.New(s, executor.Config{BatchSize: 7, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	m := member{s, e, uuid.New()}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var what string
		var at int64
		if _, err := fmt.Sscan(in.Text(), &what, &at); err != nil {
			return err
		}
		answer, err := m.do(ctx, what, time.UnixMicro(at).UTC())
		if err != nil {
			return fmt.Errorf("%s: %w", in.Text(), err)
		}
		fmt.Println(answer)
	}
	return nil
}

type member struct {
	s       migrating
	e       *executor.Executor
	process uuid.UUID
}

func (m member) do(ctx context.Context, what string, now time.Time) (string, error) {
	switch what {
	case "migrate":
		return "migrated", m.s.Migrate(ctx)
	case "fill":
		return "filled", m.fill(ctx, now)
	case "start":
		return "started", m.start(ctx, now)
	case "tick":
		return m.tick(ctx, now)
	case "claim":
		return m.claim(ctx, now)
	}
	return "", fmt.Errorf("nobody knows how")
}

const workspaces = 40

// ids are the workspaces, the same in every process.
func ids() []uuid.UUID {
	all := make([]uuid.UUID, workspaces)
	for i := range all {
		all[i] = uuid.NewSHA1(uuid.NameSpaceOID, []byte{byte(i)})
	}
	return all
}

func (m member) fill(ctx context.Context, now time.Time) error {
	template, owner := uuid.New(), uuid.New()
	err := m.s.PutTemplate(ctx, now, lifecycle.Template{ID: template})
	err = cmp.Or(err, m.s.PutOwner(ctx, now, lifecycle.Owner{ID: owner}))
	for _, id := range ids() {
		err = cmp.Or(err, m.s.CreateWorkspaces(ctx, now, lifecycle.Workspace{ID: id, OwnerID: owner, TemplateID: template, CreatedAt: now}))
	}
	return err
}

// start ends the build of each workspace and gives it a start that has succeeded, whose deadline is now.
func (m member) start(ctx context.Context, now time.Time) error {
	for _, next := range []bool{false, true} {
		all, err := m.s.Load(ctx, ids()...)
		if err != nil {
			return err
		}
		changes := make([]lifecycle.Change, len(all))
		for i := range all {
			c := &changes[i]
			*c = lifecycle.Change{Revision: all[i].Workspace.Revision, Workspace: all[i].Workspace, Build: all[i].Build, NewBuild: next}
			c.Workspace.WakeAt = now
			if next {
				c.Build = lifecycle.Build{ID: uuid.New(), Number: c.Build.Number + 1, Transition: lifecycle.TransitionStart, Deadline: now}
			}
			if c.Build.Number > 0 {
				c.Build.Status, c.Build.CompletedAt = lifecycle.JobSucceeded, now.Add(-time.Minute)
			}
		}
		outcomes, err := m.s.Commit(ctx, now, changes)
		if err != nil {
			return err
		}
		for i, o := range outcomes {
			if o != lifecycle.Applied {
				return fmt.Errorf("workspace %s: %v", changes[i].Workspace.ID, o)
			}
		}
	}
	return nil
}

func (m member) tick(ctx context.Context, now time.Time) (string, error) {
	stats := m.e.Tick(ctx, now)
	if stats.Err != nil || len(stats.Errors) > 0 {
		return "", fmt.Errorf("%w, %v", stats.Err, stats.Errors)
	}
	return fmt.Sprint("ticked: ", len(stats.Transitions)), nil
}

// claim makes all ready jobs the process's own and says which they are.
func (m member) claim(ctx context.Context, now time.Time) (string, error) {
	if _, err := m.s.Heartbeat(ctx, queue.Heartbeat{Process: m.process, Now: now}); err != nil {
		return "", err
	}
	answer := "claimed:"
	for {
		ready, err := m.s.Ready(ctx, now, queue.ReadyQuery{CountTo: 1})
		if err != nil {
			return "", err
		}
		var probes []queue.Probe
		for _, l := range ready.Lanes {
			probes = append(probes, queue.Probe{Lane: l.Lane})
		}
		workers := make([]uuid.UUID, 3)
		for i := range workers {
			workers[i] = uuid.New()
		}
		claimed, err := m.s.Claim(ctx, queue.Claim{Token: uuid.New(), Process: m.process, Now: now, Probes: probes, Workers: workers})
		if err != nil || len(claimed.Jobs) == 0 {
			return answer, err
		}
		for _, j := range claimed.Jobs {
			answer += " " + j.ID.String()
		}
	}
}
