package postgres

import (
	"context"
	"math"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// lockOrganizationSQL is held until the transaction ends. Only claims with limits take it. It is a statement of its own
// before the others, so that what they see includes everything that the claim before has started. A process that stands still with it,
// stopped by its system or out of reach behind a dead connection, must not keep those of all others: who waits for it does so in parts
// that end, see batchSteadySQL, and then says whose turn it is.
const lockOrganizationSQL = `SELECT pg_advisory_xact_lock(hashtextextended($1 || $2::uuid::text, 0))`

// readCommitted is for transactions whose later statements must see what was committed while an earlier one waited for a
// lock, whatever the database's default is.
var readCommitted = pgx.TxOptions{IsoLevel: pgx.ReadCommitted}

const aliveSQL = `SELECT id FROM dormouse.processes WHERE id = $1 AND lost_at IS NULL FOR KEY SHARE NOWAIT`

const runningSQL = `
	SELECT type, priority, tenant_id, count(*) FROM dormouse.jobs
	WHERE state BETWEEN 1 AND 1 AND organization_id = $1
	GROUP BY type, priority, tenant_id`

// contendersSQL reads ready jobs of the probed lanes in line order, whosever they are. $1 is the organization, $2 the
// instant, $3 the limit, $4 the jobs to pass over.
var contendersSQL = `
	SELECT c.id, c.tenant_id, p.type, p.priority, p.rank, c.place
	FROM ` + probeColumns.rows(5, "p", "") + `
	CROSS JOIN LATERAL (
		SELECT j.id, j.tenant_id, j.place FROM dormouse.jobs j
		WHERE j.ready AND j.organization_id = $1 AND j.type = p.type AND j.tag_set = p.tag_set
			AND j.priority = p.priority AND j.place >= p.bound AND j.id <> ALL ($4::uuid[])
		ORDER BY j.place, j.id
		LIMIT $3
	) c
	WHERE NOT EXISTS (` + pausedSQL("$1", "$2") + `)
	ORDER BY p.rank DESC, c.place, c.id
	LIMIT $3`

// byTenantSQL reads them behind a place in line ($5 to $7), those of full tenants ($8) left out. It goes from tenant to
// tenant, so a long line of one that is full costs one step; each other gives up to $9 jobs.
var byTenantSQL = `
	WITH RECURSIVE probe AS (
		SELECT p.* FROM ` + probeColumns.rows(10, "p", "") + ` WHERE NOT EXISTS (` + pausedSQL("$1", "$2") + `)
	), tenant AS (
		SELECT p.type, p.tag_set, p.priority, p.bound, p.rank, f.tenant_id
		FROM probe p CROSS JOIN LATERAL (
			SELECT j.tenant_id FROM dormouse.jobs j
			WHERE j.ready AND j.organization_id = $1 AND j.type = p.type AND j.tag_set = p.tag_set AND j.priority = p.priority
			ORDER BY j.tenant_id LIMIT 1
		) f
		UNION ALL
		SELECT t.type, t.tag_set, t.priority, t.bound, t.rank, n.tenant_id
		FROM tenant t CROSS JOIN LATERAL (
			SELECT j.tenant_id FROM dormouse.jobs j
			WHERE j.ready AND j.organization_id = $1 AND j.type = t.type AND j.tag_set = t.tag_set AND j.priority = t.priority
				AND j.tenant_id > t.tenant_id
			ORDER BY j.tenant_id LIMIT 1
		) n
	)
	SELECT c.id, t.tenant_id, t.type, t.priority, t.rank, c.place
	FROM tenant t CROSS JOIN LATERAL (
		SELECT j.id, j.place FROM dormouse.jobs j
		WHERE j.ready AND j.organization_id = $1 AND j.type = t.type AND j.tag_set = t.tag_set AND j.priority = t.priority
			AND j.tenant_id = t.tenant_id AND j.place >= t.bound AND j.id <> ALL ($4::uuid[])
			AND (t.rank < $5 OR t.rank = $5 AND (j.place, j.id) > ($6, $7))
		ORDER BY j.place, j.id
		LIMIT $9
	) c
	WHERE t.tenant_id <> ALL ($8::uuid[])
	ORDER BY t.rank DESC, c.place, c.id
	LIMIT $3`

// startChosenSQL starts the jobs that the limits admit. A job that somebody cancels at this moment is passed over.
var startChosenSQL = `
	WITH locked AS (
		SELECT j.id
		FROM unnest($7::uuid[]) WITH ORDINALITY AS c (id, n) JOIN dormouse.jobs j ON j.id = c.id
		WHERE j.ready
		ORDER BY c.n
		FOR NO KEY UPDATE OF j SKIP LOCKED
	)` + startSQL("locked", "") + `
	SELECT ` + startedOr("sum(n)", "0") + `, coalesce(j.n, 0),` + startedColumns + ` FROM (VALUES (1)) AS once LEFT JOIN started j ON true`

// claimLimited chooses in line order what no limit stops, in a transaction that no other limited claim of the
// organization overlaps.
func (s *Store) claimLimited(ctx context.Context, c queue.Claim, p []probe) (claimed queue.Claimed, err error) {
	var a *choosingClaim
	err = s.do(ctx, once, func(ctx context.Context) error {
		a = s.choosing(&c)
		return pgx.BeginTxFunc(ctx, s.pool, readCommitted, func(tx pgx.Tx) (err error) {
			if a.chooser, err = s.openChooser(ctx, tx, c); err != nil {
				return err
			}
			return a.run(ctx, tx, p, maxHeld, func(chosen []contender) error { return a.start(ctx, tx, chosen) })
		})
	})
	if err != nil {
		return queue.Claimed{}, err
	}
	return queue.Claimed{Jobs: a.jobs, Limited: a.chooser.limited}, s.fillTags(ctx, a.jobs, a.tagSets)
}

// maxHeld bounds how many jobs that others hold a claim within limits goes past: each may take it two round trips, and the organization's
// other claims wait meanwhile.
const maxHeld = 100

// choosingClaim is what a claim has come to that chooses jobs before it starts them.
type choosingClaim struct {
	*Store
	jobList
	claim   *queue.Claim
	chooser *chooser
	// passed are the jobs that it looks at no more: those that were refused, and those that it has tried.
	passed []key
}

func (s *Store) choosing(c *queue.Claim) *choosingClaim {
	return &choosingClaim{Store: s, claim: c, passed: s.passed.At(c.Now, organizationOf(c))}
}

// run chooses jobs and has them started. Where others hold some of them, or the host refuses them, it goes on behind, past so many at most.
func (a *choosingClaim) run(ctx context.Context, tx pgx.Tx, p []probe, most int, start func(chosen []contender) error) error {
	for left := 0; left < most && len(a.jobs) < len(a.claim.Workers); {
		a.chooser.again()
		chosen, err := a.choose(ctx, tx, behind(*a.claim, len(a.jobs)), p, a.chooser, a.passed)
		if err != nil || len(chosen) == 0 {
			return err
		}
		want := len(a.jobs) + len(chosen)
		if err := start(chosen); err != nil || len(a.jobs) == want {
			return err
		}
		left += want - len(a.jobs)
		for _, k := range chosen {
			a.passed = append(a.passed, key(k.id))
		}
	}
	return nil
}

// start starts those of the chosen that nobody holds, and makes room again for the others.
func (a *choosingClaim) start(ctx context.Context, tx pgx.Tx, chosen []contender) error {
	l := claimedList{claim: a.claim, from: len(a.jobs)}
	if err := a.startChosen(ctx, tx, &l, chosen); err != nil {
		return err
	}
	a.chooser.takeBack(chosen, l.jobs)
	if a.jobs == nil {
		a.jobList = l.jobList
		return nil
	}
	a.jobs, a.tagSets = append(a.jobs, l.jobs...), append(a.tagSets, l.tagSets...)
	return nil
}

// startChosen starts jobs, in line order, for the workers of a list from the first one on that it serves.
func (s *Store) startChosen(ctx context.Context, tx pgx.Tx, l *claimedList, chosen []contender) error {
	ids := make([]key, len(chosen))
	for i := range chosen {
		ids[i] = key(chosen[i].id)
	}
	c := l.claim
	args := append(parameters{key(c.Process), key(*organizationOf(c)), c.Now, key(c.Token)}, claimantColumns.args(claimants(c, l.from))...)
	rows, _ := tx.Query(ctx, s.sql(startChosenSQL), append(args, ids))
	return l.collect(rows, nil)
}

// openChooser locks the organization and the process and counts what runs, in one round trip.
func (s *Store) openChooser(ctx context.Context, tx pgx.Tx, c queue.Claim) (*chooser, error) {
	org := key(*organizationOf(&c))
	var b pgx.Batch
	b.Queue(batchSteadySQL)
	b.Queue(s.sql(lockOrganizationSQL), s.cfg.Schema, org)
	b.Queue(s.sql(aliveSQL), key(c.Process))
	b.Queue(s.sql(runningSQL), org)
	ch := &chooser{limits: c.Limits, full: []key{}}
	return ch, send(ctx, tx, &b, func(results pgx.BatchResults) error {
		skip(results, 2)
		if tag, _ := results.Exec(); tag.RowsAffected() == 0 {
			return queue.ErrProcessLost
		}
		rows, _ := results.Query()
		var k contender
		var n int
		_, err := pgx.ForEachRow(rows, []any{&k.kind, &k.priority, toID(&k.tenant), &n}, func() error {
			ch.room.Add(k.lane(), k.tenant, n)
			return nil
		})
		return err
	})
}

// choose reads contenders page by page until the workers are served or nobody is left. The first page is the line as it is;
// what it holds is usually enough. Where it is not, limits have stopped jobs, and from then on the line is read from tenant to
// tenant.
func (s *Store) choose(ctx context.Context, tx pgx.Tx, c queue.Claim, p []probe, ch *chooser, passed []key) (chosen []contender, err error) {
	page := len(c.Workers) + claimSlack
	last := contender{rank: math.MaxInt32}
	for first := true; ; first = false {
		statement, args := contendersSQL, []any{key(*organizationOf(&c)), c.Now, page, passed}
		if !first {
			statement, args = byTenantSQL, append(args, last.rank, last.place, key(last.id), ch.full, len(c.Workers))
		}
		n := 0
		err := s.contenders(ctx, tx, statement, args, p, func(k contender) {
			n, last = n+1, k
			if len(chosen) < len(c.Workers) && ch.admit(k) {
				chosen = append(chosen, k)
			}
		})
		if err != nil || len(chosen) == len(c.Workers) || n < page {
			return chosen, err
		}
		p = ch.open(p) // a limit has stopped some: a page is longer than there are workers
		page *= 4
	}
}

// contenders reads contenders of some lanes.
func (s *Store) contenders(ctx context.Context, tx pgx.Tx, statement string, args []any, p []probe, each func(contender)) error {
	rows, _ := tx.Query(ctx, s.sql(statement), parameters(append(args, probeColumns.args(p)...)))
	var k contender
	targets := []any{toID(&k.id), toID(&k.tenant), &k.kind, &k.priority, &k.rank, &k.place}
	_, err := pgx.ForEachRow(rows, targets, func() error {
		each(k)
		return nil
	})
	return err
}

// contender is a ready job as far as limits are concerned.
type contender struct {
	id, tenant uuid.UUID
	kind       string
	priority   int16
	rank       int32
	place      int64
}

func (k *contender) lane() queue.Lane { return queue.Lane{Type: k.kind, Priority: k.priority} }

// chooser admits contenders as long as the limits leave room.
type chooser struct {
	limits queue.Limits
	room   queue.Room
	// full are tenants that need not be looked at any more.
	full    []key
	limited bool
}

// admit counts the job if no limit stops it.
func (c *chooser) admit(k contender) bool {
	switch {
	case c.room.LaneFull(c.limits, k.lane()):
		c.limited = true
		return false
	case c.room.TenantFull(c.limits, k.tenant):
		c.limited = true
		c.fill(k.tenant)
		return false
	}
	c.room.Add(k.lane(), k.tenant, 1)
	return true
}

// open are the probes of lanes that no limit stops.
func (c *chooser) open(p []probe) []probe {
	return slices.DeleteFunc(slices.Clone(p), func(p probe) bool {
		return c.room.LaneFull(c.limits, queue.Lane{Type: p.kind, Priority: p.priority})
	})
}

// takeBack makes room for those of the chosen that were not started. Both are in the same order.
func (c *chooser) takeBack(chosen []contender, started []queue.Job) {
	for _, k := range chosen {
		if len(started) > 0 && started[0].ID == k.id {
			started = started[1:]
			continue
		}
		c.room.Add(k.lane(), k.tenant, -1)
	}
}

// again begins with the line anew, after some of what was admitted was taken back.
func (c *chooser) again() { c.full, c.limited = []key{}, false }

// fill notes that a limit stopped a job of a tenant. With the first one all other tenants at their limits need not be looked
// at any more either: that a limit stopped something is known then.
func (c *chooser) fill(tenant uuid.UUID) {
	if len(c.full) == 0 {
		c.full = keys(c.room.FullTenants(c.limits))
	}
	if !slices.Contains(c.full, key(tenant)) {
		c.full = append(c.full, key(tenant))
	}
}
