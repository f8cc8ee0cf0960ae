package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// TestBatchesWithoutDeadlock commits 160 batches that overlap, eight at a time, each in an order of its own.
func TestBatchesWithoutDeadlock(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 60)
	deadlocks := func() (n int) {
		must(t, pool.QueryRow(t.Context(), `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&n))
		return n
	}
	var applied atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 7))
			for range 20 {
				found, err := s.Load(t.Context(), f.ids...)
				if err != nil {
					t.Error(err)
					return
				}
				random.Shuffle(len(found), func(i, k int) { found[i], found[k] = found[k], found[i] })
				var changes []lifecycle.Change
				for _, snapshot := range found[:40] {
					c := wakeAt(snapshot, epoch.Add(time.Hour))
					c.Workspace.Failures++
					changes = append(changes, c)
				}
				outcomes, err := s.Commit(t.Context(), epoch, changes)
				if err != nil {
					t.Error(err)
				}
				for _, o := range outcomes {
					if o == lifecycle.Applied {
						applied.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	if n := deadlocks(); n > 0 {
		t.Errorf("%d deadlocks", n)
	}
	var sum int64
	must(t, pool.QueryRow(t.Context(), `SELECT sum(failures) FROM dormouse.workspaces`).Scan(&sum))
	if sum != applied.Load() {
		t.Errorf("%d changes are in the table, %d were reported as applied", sum, applied.Load())
	}
}

// TestOneBadRow has a row whose change the tables refuse: a tick does all others, and says which it was.
func TestOneBadRow(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 50)
	f.template.Policy.TimeTilDormant = time.Hour
	f.template.Revision = 1
	must(t, s.PutTemplate(t.Context(), epoch, f.template))
	exec(t, pool, `ALTER TABLE dormouse.workspaces ADD CONSTRAINT evil CHECK (id <> '`+f.ids[17].String()+`' OR dormant_at IS NULL AND backoff_until IS NULL)`)
	e, err := executor.New(s, executor.Config{Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	must(t, e.Tick(t.Context(), epoch).Err) // the new policy reaches the workspaces, and leaves a grace
	stats := e.Tick(t.Context(), epoch.Add(3*time.Hour))
	if stats.Err != nil || stats.Marked != len(f.ids)-1 || len(stats.Errors) != 1 || stats.Errors[f.ids[17]] == nil {
		t.Errorf("marked %d, errors %v, tick error %v: want 49 marked and one error, of %s", stats.Marked, stats.Errors, stats.Err, f.ids[17])
	}
}

// TestBatchesThroughCuts commits while all connections are cut again and again. What is reported as applied is applied,
// once; nothing else is.
func TestBatchesThroughCuts(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 40)
	cuts, stop := cutting(t, pool)
	defer stop()
	var applied atomic.Int64
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := 0; i < 60 || cuts.Load() < 3; i++ {
				if n, err := bump(t.Context(), s, f.ids[g*10:g*10+10]); err == nil {
					applied.Add(n)
				} else if !errors.Is(err, lifecycle.ErrUnavailable) {
					t.Errorf("a cut connection is repaired, or makes the store unavailable: %v", err)
				} else {
					t.Errorf("cuts of single connections must not get through to the caller: %v", err)
				}
			}
		})
	}
	wg.Wait()
	stop()
	pool.Reset() // some of its connections are dead
	var sum, revisions int64
	must(t, pool.QueryRow(t.Context(), `SELECT sum(failures), sum(revision - 1) FROM dormouse.workspaces`).Scan(&sum, &revisions))
	if sum != applied.Load() || revisions != sum {
		t.Errorf("%d changes in the table, %d revisions, %d reported as applied: a lost answer was not recognized", sum, revisions, applied.Load())
	}
}

// bump counts up one field of some workspaces that nobody else writes, and returns how many changes were applied.
func bump(ctx context.Context, s *postgres.Store, ids []uuid.UUID) (n int64, err error) {
	found, err := s.Load(ctx, ids...)
	if err != nil {
		return 0, err
	}
	var changes []lifecycle.Change
	for _, snapshot := range found {
		c := wakeAt(snapshot, epoch.Add(time.Hour))
		c.Workspace.Failures++
		changes = append(changes, c)
	}
	outcomes, err := s.Commit(ctx, epoch, changes)
	for _, o := range outcomes {
		if o == lifecycle.Applied {
			n++
		}
	}
	return n, err
}

// cutting ends one connection of the pool's database after the other, from outside of the pool, until it is stopped, and
// counts them.
func cutting(t *testing.T, pool *pgxpool.Pool) (cuts *atomic.Int64, stop func()) {
	t.Helper()
	cutter, err := pgxpool.NewWithConfig(t.Context(), pool.Config())
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cuts = new(atomic.Int64)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cutter.Close()
		for ctx.Err() == nil {
			var n int64
			err := cutter.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM (
				SELECT pid FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active' AND query LIKE '%unnest%'
				ORDER BY random() LIMIT 1) a, pg_sleep(0.1)`).Scan(&n)
			if err == nil {
				cuts.Add(n)
			}
		}
	})
	return cuts, func() {
		cancel()
		wg.Wait()
	}
}

// TestUnreachable asks a server that is not there: fast, with an error that says so, and recovered when it is back.
func TestUnreachable(t *testing.T) {
	server, err := pgtest.StartOwn(t.Context(), pgtest.Options{Durable: true})
	pgtest.Require(t, err)
	defer server.Close()
	pool, err := pgxpool.New(t.Context(), server.DSN(""))
	must(t, err)
	defer pool.Close()
	s := over(t, pool)
	must(t, s.Migrate(t.Context()))
	f := newFleet(t, s, 3)
	must(t, server.Kill(t.Context()))
	e, err := executor.New(s, executor.Config{Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	begun := time.Now()
	stats := e.Tick(t.Context(), epoch.Add(time.Hour))
	if !errors.Is(stats.Err, lifecycle.ErrUnavailable) || stats.Err == nil {
		t.Errorf("tick without a database: %v, want ErrUnavailable", stats.Err)
	}
	if d := time.Since(begun); d > time.Minute {
		t.Errorf("the tick took %v to notice", d)
	}
	must(t, server.Launch(t.Context()))
	if stats = e.Tick(t.Context(), epoch.Add(time.Hour)); stats.Err != nil || stats.Evaluated != 3 {
		t.Errorf("after the database came back: %+v", stats)
	}
	load(t, s, f.ids...)
}

// TestEndedContext does not wait for a server that does not answer.
func TestEndedContext(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer silent.Close()
	pool, err := pgxpool.New(t.Context(), "postgres://nobody@"+silent.Addr().String()+"/x?sslmode=disable")
	must(t, err)
	defer pool.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := over(t, pool).Due(ctx, lifecycle.DueQuery{Now: epoch, Limit: 1}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want that of the context", err)
	}
}

// TestConstraints writes what must not be, behind the store's back.
func TestConstraints(t *testing.T) {
	s, pool := open(t)
	id := newFleet(t, s, 1).ids[0]
	first := started(t, load(t, s, id)[0])
	if _, err := s.Commit(t.Context(), epoch, []lifecycle.Change{first}); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a maximum without a deadline": `UPDATE dormouse.workspaces SET build_max_deadline = now()`,
		"a deadline after its maximum": `UPDATE dormouse.workspaces SET build_max_deadline = now(), build_deadline = now() + interval '1s'`,
		"a build without a number":     `UPDATE dormouse.workspaces SET build_number = 0`,
		"an active build in the past":  `INSERT INTO dormouse.builds SELECT id, 1, build_id, build_id, 1, '', 1 FROM dormouse.workspaces`,
		"an owner who does not exist":  `UPDATE dormouse.workspaces SET owner_id = gen_random_uuid()`,
		"a running job without holder": `UPDATE dormouse.jobs SET state = 1, ready = false`,
		"a ready job that is over":     `UPDATE dormouse.jobs SET state = 2, ended_at = now()`,
	} {
		_, err := pool.Exec(t.Context(), text)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code[:2] != "23" {
			t.Errorf("%s: error %v, want a violated constraint", name, err)
		}
	}
}

// An event that no text can hold is refused by name, before the database is asked.
func TestWhatNoTextCanHold(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 1)
	far := time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	c := wakeAt(load(t, s, f.ids...)[0], epoch)
	c.Events = []lifecycle.Event{{WorkspaceID: f.ids[0], Kind: lifecycle.EventChanged, Topic: lifecycle.TopicAudit, DueAt: far}}
	_, commit := s.Commit(t.Context(), epoch, []lifecycle.Change{c})
	var pg *pgconn.PgError
	if commit == nil || errors.As(commit, &pg) || !strings.Contains(commit.Error(), "event "+string(lifecycle.EventChanged)) {
		t.Errorf("error %v", commit)
	}
	if n := count(t, pool, "events"); n != 0 {
		t.Errorf("%d events are stored", n)
	}
}

// overContext is a context whose time is over when done is closed.
type overContext struct {
	context.Context
	done chan struct{}
}

func (c overContext) Done() <-chan struct{} { return c.done }

func (c overContext) Err() error {
	select {
	case <-c.done:
		return context.DeadlineExceeded
	default:
		return c.Context.Err()
	}
}

// A commit that is given up has the server told when it returns, though that takes a while. Who makes it again, in parts, would find its own
// rows held and take them for somebody else's.
func TestCommitThatIsGivenUpHoldsNothing(t *testing.T) {
	cfg := pgtest.Pool(t).Config()
	dial := cfg.ConnConfig.DialFunc
	var late, told atomic.Bool
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if late.Load() {
			pauseFor(300 * time.Millisecond)
			defer told.Store(true)
		}
		return dial(ctx, network, address)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(pool.Close)
	s := over(t, pool)
	s.WaitForEnds(time.Minute) // longer than a busy machine takes
	ids := newFleet(t, s, 2).ids
	var changes []lifecycle.Change
	for _, snapshot := range load(t, s, ids...) {
		changes = append(changes, started(t, snapshot))
	}
	exec(t, pool, `CREATE FUNCTION host_rule() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN new; END $$`)
	exec(t, pool, `CREATE TRIGGER host_rule BEFORE UPDATE ON dormouse.workspaces FOR EACH ROW WHEN (new.id = '`+ids[1].String()+`') EXECUTE FUNCTION host_rule()`)
	var both []*pgxpool.Conn // one for the commit, and one to look: they are there before
	for range 2 {
		conn, err := pool.Acquire(t.Context())
		must(t, err)
		both = append(both, conn)
	}
	both[0].Release()
	// sleeps waits until a session stands in the trigger, or none does.
	sleeps := func(want bool) {
		for got := !want; got != want; pauseFor(5 * time.Millisecond) {
			must(t, both[1].QueryRow(soon(t), `SELECT EXISTS (SELECT FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event = 'PgSleep')`).Scan(&got))
		}
	}
	ctx := overContext{t.Context(), make(chan struct{})}
	given := make(chan error, 1)
	go func() {
		_, err := s.Commit(ctx, epoch, changes)
		given <- err
	}()
	sleeps(true)
	late.Store(true)
	close(ctx.done)
	if err := <-given; !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v, want that of the context", err)
	}
	if !told.Load() {
		t.Error("the commit returned before the server was told")
	}
	sleeps(false)
	both[1].Release()
	outcomes, err := s.Commit(t.Context(), epoch, changes[:1])
	must(t, err)
	if outcomes[0] != lifecycle.Applied {
		t.Errorf("the other one of the batch: %v", outcomes[0])
	}
}
