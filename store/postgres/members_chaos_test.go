package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// The chaos of pools: replicas in processes of their own, over one database that holds the members, what the backend has
// built, and what was handed out. Replicas are killed and frozen, their connections are cut. Claimers write down a key
// before they claim, and after a kill their replica goes on with the keys that were written down. In the end the database
// says whether anything was handed out twice or lost.

const (
	chaosReplicas = 4
	chaosClaimers = 16 // in each replica
	chaosSize     = 12
	// chaosKeys is how many keys handed out prove something. Harm goes on until then, for chaosLonger at most.
	chaosKeys   = 50
	chaosLonger = 5 * time.Minute
	// chaosEnv is the database, in a process that is a replica; chaosNumber says which.
	chaosEnv    = "DORMOUSE_TEST_CHAOS_DSN"
	chaosNumber = "DORMOUSE_TEST_CHAOS_REPLICA"
	// chaosFor prolongs the chaos.
	chaosFor = "DORMOUSE_TEST_CHAOS_FOR"
)

const chaosSQL = `
	CREATE TABLE resources (id uuid PRIMARY KEY, status smallint NOT NULL);
	CREATE TABLE intents (key text PRIMARY KEY, replica integer NOT NULL, ended boolean NOT NULL DEFAULT false);
	CREATE TABLE handouts (key text NOT NULL, member uuid NOT NULL, resource uuid NOT NULL, replica integer NOT NULL,
		at timestamptz NOT NULL DEFAULT clock_timestamp())`

func TestMembersChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("chaos takes its time")
	}
	_, pool := open(t)
	exec(t, pool, chaosSQL)
	length := 6 * time.Second
	if text := os.Getenv(chaosFor); text != "" {
		var err error
		length, err = time.ParseDuration(text)
		must(t, err)
	}
	replicas := make([]*replicaProcess, chaosReplicas)
	for i := range replicas {
		replicas[i] = startReplica(t, pool, i)
	}
	kills, freezes, cuts := unleash(t, pool, replicas, length)
	for _, r := range replicas {
		r.end(t, syscall.SIGTERM)
	}
	last := startReplica(t, pool, chaosReplicas) // claims nothing, and brings everything to rest
	defer last.end(t, syscall.SIGKILL)
	settle(t, pool)
	handouts, keys := handedOut(t, pool)
	t.Logf("%d kills, %d freezes, %d cuts: %d keys were handed out, %d times", kills, freezes, cuts, keys, handouts)
	if keys < chaosKeys {
		t.Errorf("only %d keys were handed out: this was no load", keys)
	}
	never(t, pool, "a member was handed out for two keys", `SELECT member::text FROM handouts GROUP BY member HAVING count(DISTINCT key) > 1`)
	never(t, pool, "a resource was handed out for two keys", `SELECT resource::text FROM handouts GROUP BY resource HAVING count(DISTINCT key) > 1`)
	never(t, pool, "a key got two members", `SELECT key FROM handouts GROUP BY key HAVING count(DISTINCT member) > 1`)
	never(t, pool, "a resource is nobody's", `SELECT id::text FROM resources r WHERE NOT EXISTS (
		SELECT FROM dormouse.members m WHERE m.resource = r.id AND m.state <> 7)`)
	never(t, pool, "a ready member has no resource", `SELECT id::text FROM dormouse.members m WHERE state = 2 AND NOT EXISTS (
		SELECT FROM resources r WHERE r.id = m.resource)`)
}

// settle waits until nothing is left but the ready members that there should be. A member whose destruction was cut off
// several times is tried again after pauses that grow.
func settle(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	const restSQL = `
		SELECT count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state NOT IN (2, 7)), (SELECT count(*) FROM resources)
		FROM dormouse.members`
	var ready, others, resources int
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); {
		must(t, pool.QueryRow(t.Context(), restSQL).Scan(&ready, &others, &resources))
		if ready == chaosSize && others == 0 && resources == chaosSize {
			return
		}
		pauseFor(100 * time.Millisecond)
	}
	t.Errorf("not at rest: %d ready, %d others, %d resources; want %d ready", ready, others, resources, chaosSize)
	var state string
	must(t, pool.QueryRow(t.Context(), `SELECT row_to_json(p)::text FROM dormouse.pools p`).Scan(&state))
	var left []string
	rows, err := pool.Query(t.Context(), `SELECT row_to_json(m)::text FROM dormouse.members m WHERE state NOT IN (2, 7)
		UNION ALL SELECT row_to_json(r)::text FROM resources r WHERE NOT EXISTS (SELECT FROM dormouse.members m WHERE m.resource = r.id AND m.state = 2)`)
	must(t, err)
	left, err = pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	t.Logf("now %v, state %s, not at rest: %v", time.Now().UTC(), state, left)
}

func never(t *testing.T, pool *pgxpool.Pool, what, query string) {
	t.Helper()
	rows, err := pool.Query(t.Context(), query)
	must(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	if len(found) > 0 {
		t.Errorf("%s: %v", what, found)
	}
}

// pauseFor waits by the real clock: real processes are waited for.
func pauseFor(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// handedOut is how often something was handed out, and for how many keys.
func handedOut(t *testing.T, pool *pgxpool.Pool) (times, keys int) {
	t.Helper()
	must(t, pool.QueryRow(t.Context(), `SELECT count(*), count(DISTINCT key) FROM handouts`).Scan(&times, &keys))
	return times, keys
}

// unleash kills, freezes and cuts, for a time and until that was worth something.
func unleash(t *testing.T, pool *pgxpool.Pool, replicas []*replicaProcess, length time.Duration) (kills, freezes, cuts int) {
	begun := time.Now()
	random := rand.New(rand.NewPCG(1, uint64(begun.UnixNano())))
	enough := func() bool {
		_, keys := handedOut(t, pool)
		return keys >= chaosKeys || time.Since(begun) > length+chaosLonger
	}
	for time.Since(begun) < length || !enough() {
		pauseFor(time.Duration(100+random.IntN(300)) * time.Millisecond)
		i := random.IntN(len(replicas))
		switch random.IntN(3) {
		case 0:
			replicas[i].end(t, syscall.SIGKILL)
			replicas[i] = startReplica(t, pool, i)
			kills++
		case 1:
			_ = replicas[i].cmd.Process.Signal(syscall.SIGSTOP)
			pauseFor(time.Duration(random.IntN(1500)) * time.Millisecond)
			_ = replicas[i].cmd.Process.Signal(syscall.SIGCONT)
			freezes++
		default:
			exec(t, pool, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'chaos' AND random() < 0.5`)
			cuts++
		}
	}
	return kills, freezes, cuts
}

type replicaProcess struct{ cmd *osexec.Cmd }

func startReplica(t *testing.T, pool *pgxpool.Pool, number int) *replicaProcess {
	t.Helper()
	cmd := osexec.Command(os.Args[0], "-test.run=^TestMembersChaosReplica$", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), chaosEnv+"="+pool.Config().ConnString(), chaosNumber+"="+strconv.Itoa(number))
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	return &replicaProcess{cmd}
}

func (r *replicaProcess) end(t *testing.T, signal os.Signal) {
	t.Helper()
	_ = r.cmd.Process.Signal(signal)
	err := r.cmd.Wait()
	if exit := (*osexec.ExitError)(nil); errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
		return // by us, perhaps before it was ready for it
	}
	must(t, err)
}

// TestMembersChaosReplica is a replica, in a process of its own.
func TestMembersChaosReplica(t *testing.T) {
	dsn := os.Getenv(chaosEnv)
	if dsn == "" {
		t.Skip("started by TestMembersChaos")
	}
	number, err := strconv.Atoi(os.Getenv(chaosNumber))
	must(t, err)
	cfg, err := pgxpool.ParseConfig(dsn)
	must(t, err)
	cfg.MaxConns, cfg.ConnConfig.RuntimeParams["application_name"] = 8, "chaos"
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	must(t, err)
	defer pool.Close()
	store, err := postgres.New(pool, postgres.Config{})
	must(t, err)
	p, err := prewarm.New(store, tableBackend{pool}, prewarm.Config{
		Spec:     prewarm.Spec{Name: "chaos", Version: "v1", Floor: chaosSize, Ceiling: 4 * chaosSize, HitRate: -1, ReadyTimeout: 5 * time.Second, CoolDown: time.Second, DestroyTimeout: 2 * time.Second, Retry: prewarm.Retry{Initial: 100 * time.Millisecond, Max: time.Second}},
		Interval: 500 * time.Millisecond, Relist: 2 * time.Second, Poll: 100 * time.Millisecond, Timeout: 5 * time.Second,
		Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var claimers sync.WaitGroup
	for n := range chaosClaimers {
		if number < chaosReplicas {
			claimers.Go(func() { (&chaosClaimer{pool, p, number, n}).run(ctx) })
		}
	}
	must(t, p.Run(ctx))
	claimers.Wait()
}

// chaosClaimer claims with one key after the other.
type chaosClaimer struct {
	pool    *pgxpool.Pool
	p       *prewarm.Pool
	replica int
	n       int
}

func (c *chaosClaimer) run(ctx context.Context) {
	for ctx.Err() == nil {
		key, err := c.next(ctx)
		if err == nil {
			err = c.use(ctx, key)
		}
		if err != nil {
			pauseFor(20 * time.Millisecond)
		}
	}
}

// next returns the key that the claimer was at before its process was killed, or a new one.
func (c *chaosClaimer) next(ctx context.Context) (key string, err error) {
	prefix := fmt.Sprintf("%d-%d-", c.replica, c.n)
	err = c.pool.QueryRow(ctx, `SELECT key FROM intents WHERE starts_with(key, $1) AND NOT ended LIMIT 1`, prefix).Scan(&key)
	if !errors.Is(err, pgx.ErrNoRows) {
		return key, err
	}
	key = prefix + uuid.NewString()
	_, err = c.pool.Exec(ctx, `INSERT INTO intents (key, replica) VALUES ($1, $2)`, key, c.replica)
	return key, err
}

func (c *chaosClaimer) use(ctx context.Context, key string) error {
	request := prewarm.Request{
		Owner: "owner-" + key[:3], Tenant: fmt.Sprint(c.n % 3), Key: key, IfEmpty: prewarm.IfEmpty(rand.IntN(3)),
		MaxWait: time.Duration(1+rand.IntN(2000)) * time.Millisecond, IdleTimeout: 3 * time.Second,
	}
	bounded, cancel := context.WithTimeout(ctx, time.Duration(20+rand.IntN(3000))*time.Millisecond)
	h, err := c.p.Claim(bounded, request)
	cancel()
	switch {
	case errors.Is(err, prewarm.ErrEnded):
		return c.ended(ctx, key)
	case err != nil:
		return err
	}
	if _, err := c.pool.Exec(ctx, `INSERT INTO handouts (key, member, resource, replica) VALUES ($1, $2, $3, $4)`,
		key, h.Member.ID, h.Member.Resource, c.replica); err != nil {
		return err
	}
	pauseFor(time.Duration(rand.IntN(60)) * time.Millisecond)
	if err := c.p.Return(ctx, h.Member.ID); err != nil && !errors.Is(err, prewarm.ErrEnded) {
		return err
	}
	return c.ended(ctx, key)
}

func (c *chaosClaimer) ended(ctx context.Context, key string) error {
	_, err := c.pool.Exec(ctx, `UPDATE intents SET ended = true WHERE key = $1`, key)
	return err
}

// tableBackend builds rows of a table, which outlive every process.
type tableBackend struct{ pool *pgxpool.Pool }

func (b tableBackend) Create(ctx context.Context, m prewarm.Member) (prewarm.Status, error) {
	_, err := b.pool.Exec(ctx, `INSERT INTO resources (id, status) VALUES ($1, $2) ON CONFLICT DO NOTHING`, m.Resource, int16(prewarm.StatusReady))
	return prewarm.StatusReady, err
}

func (b tableBackend) Destroy(ctx context.Context, m prewarm.Member) error {
	_, err := b.pool.Exec(ctx, `DELETE FROM resources WHERE id = $1`, m.Resource)
	return err
}

func (b tableBackend) List(ctx context.Context, _ string) ([]prewarm.Event, error) {
	rows, err := b.pool.Query(ctx, `SELECT id, status FROM resources`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (e prewarm.Event, err error) {
		return e, r.Scan(&e.Resource, (*int16Status)(&e.Status))
	})
}

// int16Status lets a status be read from a column.
type int16Status prewarm.Status

// Scan implements sql.Scanner.
func (s *int16Status) Scan(stored any) error {
	n, ok := stored.(int64)
	if !ok {
		return fmt.Errorf("status %v", stored)
	}
	*s = int16Status(n)
	return nil
}

func (b tableBackend) Watch(ctx context.Context, _ string, _ func(prewarm.Event)) error {
	<-ctx.Done()
	return ctx.Err()
}

func (b tableBackend) Mark(context.Context, prewarm.Member) error { return nil }
