// Command customscheduler embeds the lifecycle executor in a host that has everything already: a scheduler, a database
// with tables of its own, and a queue.
//
//	go run ./examples/customscheduler
//
// The host implements the three methods of [lifecycle.Store] over its table of desks (desks.go), proves it with the
// conformance suite (desks_test.go), and calls [executor.Executor.Tick] when its own loop says so (below): not every
// minute, but when the earliest look_at of the table has come. A week passes in less than a second, on a mock clock.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"
	_ "time/tzdata" // the week is the same on a machine without time zones

	"github.com/coder/quartz"
	"github.com/google/uuid"
	_ "modernc.org/sqlite"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/simclock"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "customscheduler:", err)
		os.Exit(1)
	}
}

// monday is when the week begins.
var monday = time.Date(2026, 3, 23, 0, 0, 0, 0, time.UTC)

func run(ctx context.Context, out io.Writer) error {
	folder, err := os.MkdirTemp("", "customscheduler")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	desks, err := open(ctx, filepath.Join(folder, "host.db"))
	if err != nil {
		return err
	}
	defer desks.db.Close()
	h, err := newHost(desks, out)
	if err != nil {
		return err
	}
	if err := h.furnish(ctx); err != nil {
		return err
	}
	return h.week(ctx)
}

// open opens the host's database.
func open(ctx context.Context, file string) (*Desks, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)")
	if err != nil {
		return nil, err
	}
	return NewDesks(ctx, db)
}

// host is the control plane: its tables, and the engine over them.
type host struct {
	desks *Desks
	exec  *executor.Executor
	clock *quartz.Mock
	out   io.Writer
	ids   map[string]uuid.UUID
	ticks int
	told  map[string]bool
}

func newHost(desks *Desks, out io.Writer) (*host, error) {
	h := &host{desks: desks, out: out, clock: simclock.New(monday), ids: map[string]uuid.UUID{}, told: map[string]bool{}}
	var err error
	h.exec, err = executor.New(desks, executor.Config{
		Clock: h.clock, Logger: slog.New(slog.DiscardHandler),
		// This loop ticks at the very instant of a wake. Were the tick truncated to the minute, it would come before the
		// instant it was made for, find nothing, and be made again.
		Granularity: time.Microsecond,
	})
	return h, err
}

// furnish fills the tables: two people, a blueprint, three desks.
func (h *host) furnish(ctx context.Context) error {
	standard := lifecycle.Template{ID: uuid.New(), OrganizationID: uuid.New(), Name: "standard", ActiveVersionID: uuid.New()}
	standard.Policy = lifecycle.Policy{
		AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays, ActivityBump: 2 * time.Hour,
		TimeTilDormant: 4 * 24 * time.Hour, TimeTilAutodelete: 30 * 24 * time.Hour,
	}
	if err := standard.Policy.Validate(); err != nil {
		return err
	}
	if err := h.desks.saveBlueprint(ctx, monday, standard); err != nil {
		return err
	}
	for _, d := range []struct {
		person, desk, mornings string
		life                   time.Duration
	}{
		{"ann", "ann-api", "CRON_TZ=Europe/Berlin 30 9 * * 1-5", 8 * time.Hour},
		{"ben", "ben-web", "", 4 * time.Hour},
		{"ben", "ben-old", "CRON_TZ=Asia/Kolkata 0 9 * * 1-5", 0}, // never stopped, never used
	} {
		w := lifecycle.Workspace{
			ID: uuid.New(), OrganizationID: standard.OrganizationID, TemplateID: standard.ID, OwnerID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(d.person)),
			Name: d.desk, CreatedAt: monday, Autostart: h.desks.crons.Weekly(d.mornings), TTL: d.life,
		}
		h.ids[d.desk] = w.ID
		if err := h.desks.savePerson(ctx, monday, lifecycle.Owner{ID: w.OwnerID, Name: d.person}); err != nil {
			return err
		}
		if err := h.desks.addDesks(ctx, monday, w); err != nil {
			return err
		}
		// A desk begins its life stopped; what has never been built does not start by itself.
		if _, err := h.exec.Update(ctx, w.ID, lifecycle.RequestBuild(lifecycle.TransitionStop, uuid.Nil)); err != nil {
			return err
		}
	}
	return nil
}

// visit is what a person does at an hour of the week.
type visit struct {
	at   time.Duration
	desk string
	does string
}

const day = 24 * time.Hour

var visits = []visit{
	{10*time.Hour + 15*time.Minute, "ben-web", "start"},
	{13 * time.Hour, "ben-web", "work"},
	{15*time.Hour + 50*time.Minute, "ann-api", "work"},
	{day + 11*time.Hour, "ann-api", "work"},
	{3*day + 16*time.Hour, "ann-api", "work"},
	{4*day + 9*time.Hour, "ben-web", "start"},
}

// week is the host's scheduler. It wakes for three things: somebody does something, a task is done, or the table says
// that a desk has to be looked at.
func (h *host) week(ctx context.Context) error {
	fmt.Fprintf(h.out, "The week of %s, all times UTC\n\n", monday.Format("2 January 2006"))
	todo := visits
	for end := monday.Add(7 * day); ; {
		next, err := h.next(ctx, todo)
		if err != nil {
			return err
		}
		if next.IsZero() || next.After(end) {
			break
		}
		h.clock.Set(next)
		for len(todo) > 0 && !monday.Add(todo[0].at).After(next) {
			if err := h.visit(ctx, todo[0]); err != nil {
				return err
			}
			todo = todo[1:]
		}
		if err := h.work(ctx); err != nil {
			return err
		}
		s := h.exec.Tick(ctx, next)
		if s.Err != nil {
			return s.Err
		}
		h.ticks++
		if err := h.tell(ctx); err != nil {
			return err
		}
	}
	return h.sumUp(ctx)
}

// next is the earliest instant for which the loop has to wake.
func (h *host) next(ctx context.Context, todo []visit) (time.Time, error) {
	next, err := h.desks.earliest(ctx)
	if err != nil {
		return next, err
	}
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	tasks, err := h.desks.tasks(ctx)
	if len(tasks) > 0 {
		sooner(tasks[0].ready)
	}
	if len(todo) > 0 {
		sooner(monday.Add(todo[0].at))
	}
	if now := h.clock.Now(); !next.IsZero() && next.Before(now) {
		next = now
	}
	return next, err
}

func (h *host) visit(ctx context.Context, v visit) error {
	if v.does == "work" {
		h.exec.Activity(h.ids[v.desk], h.clock.Now())
		return nil
	}
	_, err := h.exec.Update(ctx, h.ids[v.desk], lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil))
	return err
}

// work is the host's worker: whatever is ready has succeeded.
func (h *host) work(ctx context.Context) error {
	tasks, err := h.desks.tasks(ctx)
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if t.ready.After(h.clock.Now()) {
			break
		}
		ended := lifecycle.JobEnded(lifecycle.JobResult{BuildID: t.run, Status: lifecycle.JobSucceeded, CompletedAt: t.ready})
		if _, err := h.exec.Update(ctx, t.desk, ended); err != nil {
			return err
		}
		if err := h.desks.forget(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// tell prints the tasks that are new.
func (h *host) tell(ctx context.Context) error {
	tasks, err := h.desks.tasks(ctx)
	for _, t := range tasks {
		if key := t.run.String(); !h.told[key] {
			h.told[key] = true
			fmt.Fprintf(h.out, "%s  %-7s %-12s %s\n", h.clock.Now().Format("Mon 15:04"), t.what, t.label, t.why)
		}
	}
	return err
}

func (h *host) sumUp(ctx context.Context) error {
	fmt.Fprintf(h.out, "\n%d ticks were enough for the %d minutes of the week. What comes next:\n\n", h.ticks, 7*24*60)
	for _, desk := range []string{"ann-api", "ben-web", "ben-old"} {
		x, err := h.exec.Explain(ctx, h.ids[desk])
		if err != nil {
			return err
		}
		fmt.Fprintln(h.out, x.Summary)
	}
	return nil
}
