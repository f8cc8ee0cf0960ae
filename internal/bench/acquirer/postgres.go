package acquirer

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// bench is a server with the store's tables, a copy of the table of jobs for the barest statements, and a table of the
// usual shape: tags as JSON, compared by a procedural function for each row.
type bench struct {
	r       *figure.Recorder
	pool    *pgxpool.Pool
	store   *postgres.Store
	backlog int
	pid     int // of the postmaster
	process uuid.UUID
}

// postgresFigures runs on a server of its own with fsync on. Without PostgreSQL it says so and measures nothing.
func postgresFigures(ctx context.Context, r *figure.Recorder) error {
	b := &bench{r: r, backlog: 10_000}
	if r.Full {
		b.backlog = 100_000
	}
	parts := []part{
		{[]string{"T1", "T2"}, b.throughput},
		{[]string{"T3"}, b.burst},
		{[]string{"T4", "T5"}, b.latency},
		{[]string{"T6", "T7"}, b.probes},
		{[]string{"T9"}, b.idle},
		{[]string{"T10"}, b.announcing},
		{[]string{"T11"}, b.oldSnapshot},
		{[]string{"T12"}, b.upkeep},
		{[]string{"T13"}, b.fairness},
		{[]string{"T15"}, b.pipeline},
		{[]string{"limited"}, b.limited},
		{[]string{"delayed"}, b.delayed},
		{[]string{"snapshot"}, b.snapshot},
	}
	wanted := false
	for _, p := range parts {
		for _, name := range p.names {
			wanted = wanted || r.Wants("acquirer/"+name)
		}
	}
	if !wanted {
		return nil
	}
	stop, err := b.open(ctx)
	if errors.Is(err, pgtest.ErrNotFound) {
		r.Step("the figures of acquirer/ on PostgreSQL are left out: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer stop()
	for i, p := range parts {
		parts[i].run = func(ctx context.Context) error {
			if err := b.begin(ctx); err != nil {
				return err
			}
			return p.run(ctx)
		}
	}
	return runParts(ctx, r, parts)
}

func (b *bench) open(ctx context.Context) (stop func(), err error) {
	server, err := pgtest.StartOwn(ctx, pgtest.Options{Durable: true, Settings: map[string]string{
		"shared_buffers": "512MB", "max_wal_size": "4GB", "autovacuum": "off", "max_connections": "200", "jit": "off",
	}})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, server.Close())
		}
	}()
	if err = server.CreateDatabase(ctx, "handoff", "template1"); err != nil {
		return nil, err
	}
	cfg, err := pgxpool.ParseConfig(server.DSN("handoff"))
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = 72
	if b.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, err
	}
	if b.store, err = postgres.New(b.pool, postgres.Config{}); err != nil {
		return nil, err
	}
	if err = b.store.Migrate(ctx); err != nil {
		return nil, err
	}
	if err = b.prepare(ctx); err != nil {
		return nil, err
	}
	return func() {
		b.pool.Close()
		_ = server.Close()
	}, nil
}

const prepareSQL = `
	CREATE TABLE raw_jobs (LIKE dormouse.jobs INCLUDING ALL);
	CREATE TABLE ref_jobs (id uuid PRIMARY KEY, org uuid NOT NULL, type text NOT NULL, tags jsonb NOT NULL,
		created_at timestamptz NOT NULL, started_at timestamptz, worker_id uuid);
	CREATE INDEX ref_open ON ref_jobs (org) WHERE started_at IS NULL;
	CREATE FUNCTION tags_fit(job jsonb, worker jsonb) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
	DECLARE k text; v text;
	BEGIN
		IF job = '{"scope": "organization", "owner": ""}' THEN RETURN job = worker; END IF;
		FOR k, v IN SELECT key, value FROM jsonb_each_text(job) LOOP
			IF worker->>k IS DISTINCT FROM v THEN RETURN false; END IF;
		END LOOP;
		RETURN true;
	END $$;`

func (b *bench) prepare(ctx context.Context) error {
	if _, err := b.pool.Exec(ctx, prepareSQL); err != nil {
		return err
	}
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	b.pid, err = meter.Parent(int(conn.Conn().PgConn().PID()))
	return err
}

// begin empties the tables and registers a process, so that no part pays for what another has left: running jobs of a
// process that is silent for the length of a lease are taken from it, which is work.
func (b *bench) begin(ctx context.Context) error {
	if _, err := b.pool.Exec(ctx, `TRUNCATE dormouse.jobs, dormouse.job_lines, raw_jobs, ref_jobs`); err != nil {
		return err
	}
	b.process = uuid.New()
	_, err := b.store.Heartbeat(ctx, queue.Heartbeat{Process: b.process, Name: "bench", Now: now()})
	return err
}

func now() time.Time { return store.Instant(time.Now()) }

// cpu is the time that all processes of the server have used so far.
func (b *bench) cpu() (time.Duration, error) { return meter.Server(b.pid) }

// fill puts n ready jobs of one lane into the store, and returns the lane. They are copies of one that went the regular
// way, each with an order number of its own.
func (b *bench) fill(ctx context.Context, org uuid.UUID, n int, tags map[string]string) (queue.Lane, error) {
	jobs, err := b.store.Enqueue(ctx, now(), []queue.Posting{{Organization: org, Tenant: uuid.New(), Type: "build", Tags: tags, ID: uuid.New()}})
	if err != nil {
		return queue.Lane{}, err
	}
	return jobs[0].Lane(), b.copyJobs(ctx, "dormouse.jobs", jobs[0].ID, n-1)
}

// copyJobs copies the job of an id into a table.
func (b *bench) copyJobs(ctx context.Context, table string, id uuid.UUID, n int) error {
	_, err := b.pool.Exec(ctx, `INSERT INTO `+table+` (id, organization_id, tenant_id, type, tag_set, priority, weight, payload,
			trace, created_at, state, place, ready_at, ready)
		SELECT gen_random_uuid(), organization_id, tenant_id, type, tag_set, priority, weight, payload,
			trace, created_at, 0, place + i, ready_at, true
		FROM dormouse.jobs, generate_series(1, $2) AS i WHERE id = $1`, id, n)
	if err != nil {
		return err
	}
	_, err = b.pool.Exec(ctx, `ANALYZE `+table)
	return err
}

// fillRaw puts n jobs into the table of the barest statements.
func (b *bench) fillRaw(ctx context.Context, org uuid.UUID, n int) error {
	jobs, err := b.store.Enqueue(ctx, now(), []queue.Posting{{Organization: org, Tenant: uuid.New(), Type: "raw", ID: uuid.New()}})
	if err != nil {
		return err
	}
	if err := b.copyJobs(ctx, "raw_jobs", jobs[0].ID, n); err != nil {
		return err
	}
	_, err = b.store.Cancel(ctx, queue.Cancellation{Now: now(), IDs: []uuid.UUID{jobs[0].ID}})
	return err
}

const rawClaimSQL = `
	WITH c AS (
		SELECT id FROM raw_jobs WHERE ready AND organization_id = $1 AND type = 'raw' AND tag_set = $2 AND priority = 0
		ORDER BY place, id LIMIT $3 FOR UPDATE SKIP LOCKED
	)
	UPDATE raw_jobs j SET state = 1, ready = false, started_at = $4, process_id = $5, token = $6, worker_id = $7,
		attempt = attempt + 1, fence = fence + 1
	FROM c WHERE j.id = c.id RETURNING j.*`

// raw is the barest batched claim.
func (b *bench) raw(ctx context.Context, org uuid.UUID, tagSet, n int) (int, error) {
	rows, err := b.pool.Query(ctx, rawClaimSQL, org, tagSet, n, now(), b.process, uuid.New(), uuid.New())
	if err != nil {
		return 0, err
	}
	got := 0
	for rows.Next() {
		if _, err := rows.Values(); err != nil {
			return 0, err
		}
		got++
	}
	return got, rows.Err()
}

// tagSet is the number of the untagged set.
func (b *bench) tagSet(ctx context.Context) (n int, err error) {
	err = b.pool.QueryRow(ctx, `SELECT tag_set FROM raw_jobs LIMIT 1`).Scan(&n)
	return n, err
}

// claim is the store's own claim.
func (b *bench) claim(ctx context.Context, lane queue.Lane, from int64, n int) ([]queue.Job, error) {
	c := queue.Claim{
		Token: uuid.New(), Process: b.process, Now: now(), Probes: []queue.Probe{{Lane: lane, From: from}}, Workers: make([]uuid.UUID, n),
	}
	for i := range c.Workers {
		c.Workers[i] = uuid.New()
	}
	claimed, err := b.store.Claim(ctx, c)
	return claimed.Jobs, err
}
