package handoff_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/e2e/internal/harm"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// fleet is the processes and what is done to them.
type fleet struct {
	t    *testing.T
	ctx  context.Context
	pool *pgxpool.Pool
	rng  *rand.Rand
	org  uuid.UUID

	processes []*process
	names     int
	// old is the program of a release before; empty: everybody is of this one. Every other process is of it then.
	old  string
	done map[string]int // harm by kind
}

// process is one of the fleet.
type process struct {
	*harm.Process
	name   string
	remote bool
	frozen bool
}

// size is the number of processes that hand out, and remotes that of workers elsewhere.
const size, remotes = 3, 2

func TestNoJobLostNoneRunTwice(t *testing.T) { live(t, "", *harm.Duration) }

// before is the release that a rolling upgrade of the hand-off begins with.
const before = "b8ca6b6"

// TestTwoVersionsSideBySide has every other process, and worker elsewhere, of the release before, on tables that are already new.
func TestTwoVersionsSideBySide(t *testing.T) {
	live(t, harm.BuildBefore(t, before, "./internal/e2e/handoff"), *harm.Duration/2)
}

// live harms a fleet for a time, and checks the laws.
func live(t *testing.T, old string, duration time.Duration) {
	pool := pgtest.Pool(t)
	f := &fleet{t: t, ctx: t.Context(), pool: pool, rng: harm.Random(t), org: uuid.New(), old: old, done: make(map[string]int)}
	f.exec(books)
	defer f.killAll()
	for i := range size + remotes {
		f.start(i >= size)
	}
	harm.Do(duration, func() {
		harm.Pause(f.ctx, time.Duration(50+f.rng.IntN(250))*time.Millisecond)
		f.harm()
	}, func() bool { return f.count().enough() })
	f.settle()
	f.worth()
	check(f.ctx, t, pool)
}

func (f *fleet) exec(sql string, args ...any) {
	f.t.Helper()
	if _, err := f.pool.Exec(f.ctx, sql, args...); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) start(remote bool) {
	f.t.Helper()
	f.names++
	name := fmt.Sprintf("process %d", f.names)
	o := order{DSN: f.pool.Config().ConnString(), Name: name, Org: f.org, Seed: f.rng.Uint64(), Remote: remote}
	program := os.Args[0]
	if f.old != "" && f.names%2 == 0 {
		program = f.old
	}
	p := harm.StartProgram(f.t, program, o)
	f.processes = append(f.processes, &process{Process: p, name: name, remote: remote})
}

// end ends the i-th process by a signal and waits for its end.
func (f *fleet) end(i int, signal syscall.Signal) {
	p := f.processes[i]
	f.processes = append(f.processes[:i], f.processes[i+1:]...)
	_ = p.Signal(signal)
	_ = p.Signal(syscall.SIGCONT)
	p.Wait()
}

func (f *fleet) killAll() {
	for len(f.processes) > 0 {
		f.end(0, syscall.SIGKILL)
	}
}

// harm does one thing to one process.
func (f *fleet) harm() {
	i := f.rng.IntN(len(f.processes))
	p := f.processes[i]
	kind := []string{"kill", "kill", "drain", "freeze", "freeze", "cut", "cut", "cut all"}[f.rng.IntN(8)]
	f.done[kind]++
	switch kind {
	case "kill":
		f.end(i, syscall.SIGKILL)
		f.start(p.remote)
	case "drain":
		f.end(i, syscall.SIGTERM)
		f.start(p.remote)
	case "freeze": // long enough, as it may happen, for its jobs to go to others
		f.setFrozen(p, !p.frozen)
	case "cut":
		f.exec(`SELECT pg_terminate_backend(pid) FROM (
			SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY random() LIMIT 2) b`)
	case "cut all":
		f.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	}
}

func (f *fleet) setFrozen(p *process, frozen bool) {
	signal := syscall.SIGCONT
	if frozen {
		signal = syscall.SIGSTOP
	}
	if err := p.Signal(signal); err != nil {
		f.t.Fatal(err)
	}
	p.frozen = frozen
}

// calm bounds the wait for the end of all jobs. Nothing is promised about how soon that is; a job that is stuck stays stuck.
const calm = 3 * time.Minute

// settle ends the harm and waits until every job has ended.
func (f *fleet) settle() {
	f.t.Helper()
	for _, p := range f.processes {
		f.setFrozen(p, false)
		_, _ = p.In.Write([]byte("."))
	}
	ctx, cancel := context.WithTimeout(f.ctx, calm)
	defer cancel()
	var names []string
	for _, p := range f.processes {
		if !p.remote {
			names = append(names, p.name)
		}
	}
	// What is left counts only once everybody has stopped posting.
	for left, calm := 1, 0; left > 0 || calm < len(names); {
		err := f.pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM dormouse.jobs WHERE state < 2),
			(SELECT count(*) FROM handoff.calm WHERE process = ANY ($1))`, names).Scan(&left, &calm)
		if err != nil {
			f.t.Fatalf("%d jobs have not ended: %v", left, err)
		}
		if !harm.Pause(ctx, 50*time.Millisecond) {
			f.t.Fatalf("%d jobs have not ended in %v of calm: %s", left, calm, f.unended())
		}
	}
	for len(f.processes) > 0 {
		f.end(0, syscall.SIGTERM)
	}
}

// unended is the rows of jobs that have not ended.
func (f *fleet) unended() (text string) {
	err := f.pool.QueryRow(f.ctx, `SELECT string_agg(j.line::text || ', process ' || coalesce(row_to_json(p)::text, 'unknown'), E'\n') FROM (
		SELECT row_to_json(jobs) AS line, process_id FROM dormouse.jobs WHERE state < 2 LIMIT 10) j
		LEFT JOIN dormouse.processes p ON p.id = j.process_id`).Scan(&text)
	if err != nil {
		return err.Error()
	}
	return text
}

// counts is what has happened.
type counts struct{ jobs, again, lost, far, silent, verdicts int }

// enough reports whether that proves anything.
func (c counts) enough() bool {
	return c.jobs >= 100 && c.again > 0 && c.lost > 0 && c.far > 0 && c.verdicts > 0
}

// count looks at what has happened.
func (f *fleet) count() (c counts) {
	f.t.Helper()
	const text = `SELECT count(*), count(*) FILTER (WHERE fence > 1), count(*) FILTER (WHERE type = 'far'),
		(SELECT count(*) FROM dormouse.processes WHERE lost_at IS NOT NULL),
		(SELECT count(*) FROM handoff.log WHERE error LIKE '%went silent%' AND after = 0), (SELECT count(*) FROM handoff.verdicts)
		FROM dormouse.jobs`
	if err := f.pool.QueryRow(f.ctx, text).Scan(&c.jobs, &c.again, &c.far, &c.lost, &c.silent, &c.verdicts); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// worth says what happened, and fails if that was too little to prove anything.
func (f *fleet) worth() {
	f.t.Helper()
	c := f.count()
	f.t.Logf("%d jobs, %d of them handed out more than once, %d by workers elsewhere alone, %d processes gone, %d silent workers, %d verdicts, harm %v",
		c.jobs, c.again, c.far, c.lost, c.silent, c.verdicts, f.done)
	f.unwell()
	if !c.enough() {
		f.t.Errorf("too little happened to prove anything")
	}
}

// unwell says of each job that did not end well what it says itself.
func (f *fleet) unwell() {
	f.t.Helper()
	rows, err := f.pool.Query(f.ctx, `SELECT id, state, attempt, fence, error FROM dormouse.jobs WHERE state <> 2`)
	if err != nil {
		f.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, text string
		var state, attempt, fence int
		if err := rows.Scan(&id, &state, &attempt, &fence, &text); err != nil {
			f.t.Fatal(err)
		}
		f.t.Logf("job %s: state %d, attempt %d, fence %d: %s", id, state, attempt, fence, text)
	}
}

// Every law notices that it is broken.
func TestLawsNotice(t *testing.T) {
	pool, ctx := pgtest.Pool(t), t.Context()
	f := &fleet{t: t, ctx: ctx, pool: pool}
	f.exec(books)
	f.oneLife()
	check(ctx, t, pool)
	for _, l := range laws {
		tx, err := pool.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(ctx, `ALTER TABLE dormouse.jobs DISABLE TRIGGER note; `+l.tamper); err != nil {
			t.Fatalf("%s: %v", l.name, err)
		}
		if l.breaches(ctx, t, tx) == 0 {
			t.Errorf("not noticed: %s", l.name)
		}
		_ = tx.Rollback(ctx)
	}
}

// oneLife lets three jobs be claimed, worked on and ended.
func (f *fleet) oneLife() {
	f.t.Helper()
	must := func(err error) {
		f.t.Helper()
		if err != nil {
			f.t.Fatal(err)
		}
	}
	s, err := postgres.New(f.pool, postgres.Config{})
	must(err)
	now, process, org := store.Instant(time.Now()), uuid.New(), uuid.New()
	_, err = s.Heartbeat(f.ctx, queue.Heartbeat{Process: process, Name: "one", Now: now})
	must(err)
	posting := queue.Posting{Organization: org, Type: "scarce"}
	stored, err := s.Enqueue(f.ctx, now, []queue.Posting{posting, posting, posting})
	must(err)
	for i := range 1 + len(stored) {
		claimed, err := s.Claim(f.ctx, queue.Claim{
			Token: uuid.New(), Process: process, Now: now, Workers: []uuid.UUID{uuid.New()},
			Probes: []queue.Probe{{Lane: stored[0].Lane()}},
		})
		must(err)
		job := claimed.Jobs[0]
		if i == 0 { // taken back, by a verdict
			f.exec(`INSERT INTO handoff.verdicts VALUES ($1, $2)`, job.ID.String(), job.Fence)
			_, err = s.End(f.ctx, now, []queue.End{{
				Handout: job.Handout(), Process: process, Outcome: queue.OutcomeRequeued, Error: "worker went silent",
			}})
			must(err)
			continue
		}
		f.exec(`INSERT INTO handoff.work (job, fence, process, worker, most) VALUES ($1, $2, $3, $4, 1)`,
			job.ID.String(), job.Fence, process.String(), job.Worker.String())
		f.exec(`INSERT INTO handoff.promised VALUES ($1)`, job.ID.String())
		_, err = s.End(f.ctx, now, []queue.End{{
			Handout: job.Handout(), Process: process, Outcome: queue.OutcomeSucceeded, Result: fmt.Append(nil, job.Fence),
		}})
		must(err)
	}
}
