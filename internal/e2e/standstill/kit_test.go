package standstill_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"
	_ "modernc.org/sqlite"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// fleetSize is how many workspaces are due, one of them with an obstacle.
const fleetSize = 300

// registry is what the tests need of a store.
type registry interface {
	lifecycle.Store
	lifecycle.Registry
	lifecycle.Outbox
}

// fleet is three hundred workspaces that run and are to be stopped now.
type fleet struct {
	*testing.T
	store    registry
	kind     string
	postgres *postgres.Store
	exec     func(text string, args ...any) // nil for the store in memory
	lock     func(text string, args ...any) (release func())
	ids      []uuid.UUID
	now      time.Time
	template lifecycle.Template
	logs     logs
}

// each runs a test over every store.
func each(t *testing.T, run func(f *fleet)) {
	if !strings.Contains(t.Name(), "/") { // most of the time is spent in waiting
		t.Parallel()
	}
	for _, kind := range []string{"memory", "sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f := &fleet{T: t, kind: kind, now: time.Now().UTC().Truncate(time.Minute)}
			f.open()
			f.fill()
			run(f)
		})
	}
}

func (f *fleet) open() {
	switch f.kind {
	case "memory":
		f.store = memory.New()
	case "sqlite":
		f.openSQLite()
	case "postgres":
		f.openPostgres()
	}
}

func (f *fleet) openSQLite() {
	db, err := sqlite.Open("sqlite", filepath.Join(f.TempDir(), "dormouse.db"))
	f.must(err)
	f.Cleanup(func() { _ = db.Close() })
	s, err := sqlite.New(db, sqlite.Config{})
	f.must(err)
	f.must(s.Migrate(f.Context()))
	f.store = s
	f.exec = func(text string, args ...any) {
		f.Helper()
		_, err := db.ExecContext(context.Background(), f.dialect(text), blobs(args)...)
		f.must(err)
	}
	f.lock = func(string, ...any) func() { return f.hold(db) }
}

// hold takes the write lock of the whole database, as SQLite knows no other.
func (f *fleet) hold(db *sql.DB) func() {
	conn, err := db.Conn(context.Background())
	f.must(err)
	_, err = conn.ExecContext(context.Background(), "BEGIN IMMEDIATE")
	f.must(err)
	return sync.OnceFunc(func() {
		_, _ = conn.ExecContext(context.Background(), "ROLLBACK")
		_ = conn.Close()
	})
}

func (f *fleet) openPostgres() {
	pool := pgtest.Pool(f.T)
	s, err := postgres.New(pool, postgres.Config{})
	f.must(err)
	f.store, f.postgres = s, s
	f.exec = func(text string, args ...any) {
		f.Helper()
		_, err := pool.Exec(context.Background(), text, args...)
		f.must(err)
	}
	f.lock = func(text string, args ...any) func() {
		tx, err := pool.Begin(context.Background())
		f.must(err)
		_, err = tx.Exec(context.Background(), text, args...)
		f.must(err)
		return sync.OnceFunc(func() { _ = tx.Rollback(context.Background()) })
	}
}

// dialect makes a statement for PostgreSQL one for SQLite.
func (f *fleet) dialect(text string) string {
	text = strings.ReplaceAll(text, "dormouse.", "dormouse_")
	return strings.NewReplacer("$1", "?1", "$2", "?2").Replace(text)
}

func blobs(args []any) []any {
	for i, a := range args {
		if id, ok := a.(uuid.UUID); ok {
			args[i] = id[:]
		}
	}
	return args
}

func (f *fleet) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// fill makes the workspaces, each with a start that succeeded long ago and a deadline that has come.
func (f *fleet) fill() {
	began := f.now.Add(-2 * time.Hour)
	f.template = lifecycle.Template{ID: uuid.New(), OrganizationID: uuid.New(), Name: "go", ActiveVersionID: uuid.New(), Policy: lifecycle.Policy{AutostartDays: schedule.AllDays}}
	owner := lifecycle.Owner{ID: uuid.New(), Name: "ann"}
	f.must(f.store.PutTemplate(f.Context(), began, f.template))
	f.must(f.store.PutOwner(f.Context(), began, owner))
	var all []lifecycle.Workspace
	for n := range fleetSize {
		id := uuid.Must(uuid.NewV7())
		f.ids = append(f.ids, id)
		all = append(all, lifecycle.Workspace{
			ID: id, OrganizationID: f.template.OrganizationID, OwnerID: owner.ID, TemplateID: f.template.ID,
			Name: fmt.Sprint("w", n), CreatedAt: began, LastUsedAt: began,
		})
	}
	f.must(f.store.CreateWorkspaces(f.Context(), began, all...))
	found, err := f.store.Load(f.Context(), f.ids...)
	f.must(err)
	var changes []lifecycle.Change
	for _, s := range found {
		c := lifecycle.Change{Revision: s.Workspace.Revision, Workspace: s.Workspace, NewBuild: true}
		c.Build = lifecycle.Build{
			ID: uuid.Must(uuid.NewV7()), Number: 1, TemplateVersionID: f.template.ActiveVersionID, Transition: lifecycle.TransitionStart,
			Reason: lifecycle.ReasonManual, Status: lifecycle.JobSucceeded, CreatedAt: began, CompletedAt: began, RunSince: began,
			Deadline: f.now.Add(-time.Minute),
		}
		c.Workspace.WakeAt = f.now.Add(-time.Minute)
		changes = append(changes, c)
	}
	_, err = f.store.Commit(f.Context(), began, changes)
	f.must(err)
}

// culprit is the workspace with the obstacle: one in the middle.
func (f *fleet) culprit() uuid.UUID { return f.ids[137] }

// wanted is what a test expects.
type wanted struct {
	// done is how many are stopped within two ticks.
	done int
	// why is part of what the stats, Explain and the log say of the one in the way; "" if nothing is in its way any more.
	why string
	// quiet: there is nothing to be seen of it in a tick.
	quiet bool
}

// patience bounds the wait for what must happen beside something that hangs. What hangs does so for longer, so the bound may
// be far above what any machine takes.
const patience = 2 * time.Minute

// lastTick is when the second of two ticks is, after the first one.
const lastTick = time.Minute

// explainAt is a clock that is right except when it is asked for an explanation: that is of the last tick, however long the
// machine took for it. A minute later a workspace in the way may be due again, and no longer says what became of it.
type explainAt struct {
	quartz.Clock
	at time.Time
}

// Now implements [quartz.Clock].
func (c explainAt) Now(tags ...string) time.Time {
	if slices.Contains(tags, "explain") {
		return c.at
	}
	return c.Clock.Now(tags...)
}

// run runs an executor for two ticks, with whatever meanwhile in between, and ends it.
func (f *fleet) run(cfg executor.Config, between func(), want wanted) {
	f.Helper()
	ticks, stats := make(chan time.Time), make(chan executor.Stats)
	cfg.Tick, cfg.StatsC, cfg.Logger = ticks, stats, f.logs.logger()
	cfg.Clock = explainAt{quartz.NewReal(), f.now.Add(lastTick)}
	e, err := executor.New(f.store, cfg)
	f.must(err)
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	done := 0
	errs := map[uuid.UUID]error{}
	for n, at := range []time.Duration{0, lastTick} {
		ticks <- f.now.Add(at)
		s := <-stats
		done += len(s.Transitions)
		for id, err := range s.Errors {
			errs[id] = err
		}
		if n == 0 && between != nil {
			between()
		}
	}
	f.judge(e, done, errs, want)
	cancel()
	select {
	case <-ended:
	case <-time.After(patience):
		f.Errorf("Run has not ended within %v: it waits for what hangs", patience)
	}
}

func (f *fleet) judge(e *executor.Executor, done int, errs map[uuid.UUID]error, want wanted) {
	f.Helper()
	if done != want.done {
		f.Errorf("%d transitions within two ticks, want %d; %d errors", done, want.done, len(errs))
	}
	if want.why == "" || want.quiet {
		return
	}
	id := f.culprit()
	if err := errs[id]; err == nil || !strings.Contains(err.Error(), want.why) {
		f.Errorf("the stats say %v of the one in the way, want %q", err, want.why)
	}
	if !f.logs.has(id.String(), want.why) {
		f.Errorf("the log does not say %q of the one in the way:\n%s", want.why, f.logs.about(id.String()))
	}
	x, err := e.Explain(f.Context(), id)
	if err != nil || !strings.Contains(fmt.Sprintf("%+v", x), want.why) {
		f.Errorf("Explain does not say %q: %+v, %v", want.why, x, err)
	}
}

// logs keep what is logged.
type logs struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logs) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(line)
}

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func (l *logs) has(words ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.out.String()) {
		has := 0
		for _, w := range words {
			if strings.Contains(line, w) {
				has++
			}
		}
		if has == len(words) {
			return true
		}
	}
	return false
}

func (l *logs) about(word string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found strings.Builder
	for line := range strings.Lines(l.out.String()) {
		if strings.Contains(line, word) {
			found.WriteString(line)
		}
	}
	return found.String()
}
