package frontdoor

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/internal/e2e/internal/harm"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

var claimsFor = flag.Duration("claims.duration", 5*time.Second, "how long TestClaimsChaos does harm")

const (
	claimReplicas  = 4
	claimersEach   = 16
	claimSize      = 6 // of each preset
	claimsAppName  = "claims chaos"
	claimsAtLeast  = 30
	claimsAtRestIn = 3 * time.Minute
)

// chaosTables hold what happened outside of the planes. Claimers write a key down before they claim with it.
const chaosTables = `
	CREATE TABLE intents (key text PRIMARY KEY, owner text NOT NULL, preset text NOT NULL, ended boolean NOT NULL DEFAULT false);
	CREATE TABLE handouts (key text NOT NULL, workspace uuid NOT NULL, replica integer NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
	CREATE TABLE builds (workspace uuid NOT NULL, preset text NOT NULL, transition text NOT NULL)`

// claimLaws hold at every instant: each is one statement, which sees one state of the database.
var claimLaws = map[string]string{
	"a workspace was handed out for two keys": `SELECT workspace::text FROM handouts GROUP BY workspace HAVING count(DISTINCT key) > 1`,
	"a key got two workspaces":                `SELECT key FROM handouts GROUP BY key HAVING count(DISTINCT workspace) > 1`,
	"a key has two members":                   `SELECT claim_key FROM dormouse.members WHERE claim_key IS NOT NULL GROUP BY claim_key HAVING count(*) > 1`,
	"a member's mark and its workspace's owner differ": `
		SELECT m.id::text FROM dormouse.members m JOIN dormouse.workspaces w ON w.id = m.resource
		WHERE NOT w.deleted AND m.state < 4 AND (m.state = 3) = w.managed`,
	"a claimed workspace is not its claimer's": `
		SELECT m.id::text FROM dormouse.members m JOIN dormouse.workspaces w ON w.id = m.resource JOIN dormouse.owners o ON o.id = w.owner_id
		WHERE m.state = 3 AND (w.name <> m.claim_key OR o.name <> m.owner)`,
	"a workspace is nobody's": `
		SELECT w.id::text FROM dormouse.workspaces w WHERE NOT w.deleted AND NOT w.managed AND NOT EXISTS (
			SELECT FROM dormouse.members m WHERE m.resource = w.id AND m.claim_key = w.name)`,
	"a handout is not in the store": `
		SELECT h.key FROM handouts h WHERE NOT EXISTS (SELECT FROM dormouse.members m WHERE m.claim_key = h.key AND m.resource = h.workspace)`,
	"a workspace was built with another preset than was claimed": `
		SELECT h.key FROM handouts h JOIN intents i USING (key) JOIN builds b ON b.workspace = h.workspace WHERE b.preset <> i.preset`,
}

// Four replicas in processes of their own claim workspaces of two presets, with 64 claimers, and give them back. They are
// killed and frozen, and their connections cut. The database says at every instant, and in the end, that each key has at most
// one workspace, each workspace at most one claim, and that none is lost.
func TestClaimsChaos(t *testing.T) {
	pool := pgtest.Pool(t)
	_, err := pool.Exec(t.Context(), chaosTables)
	must(t, err)
	random := harm.Random(t)
	replicas := make([]*harm.Process, claimReplicas)
	start := func(i int) { replicas[i] = harm.Start(t, claimOrder{pool.Config().ConnString(), i}) }
	for i := range replicas {
		start(i)
	}
	awaitClaims(t, pool)
	done := map[string]int{}
	keys := 0
	harm.Do(*claimsFor, func() {
		time.Sleep(time.Duration(100+random.IntN(300)) * time.Millisecond)
		i := random.IntN(claimReplicas)
		done[doHarm(t, pool, random, replicas[i], func() { start(i) })]++
		checkClaims(t, pool)
		must(t, pool.QueryRow(t.Context(), `SELECT count(DISTINCT key) FROM handouts`).Scan(&keys))
	}, func() bool { return keys >= claimsAtLeast })
	for _, r := range replicas {
		_ = r.Signal(syscall.SIGKILL) // no clean end: what was begun stays begun
		r.Wait()
	}
	checkClaims(t, pool)
	finishClaims(t, pool)
	t.Logf("%v: %d keys were handed out under harm", done, keys)
	if keys < claimsAtLeast {
		t.Errorf("only %d keys were handed out: this was no load", keys)
	}
}

// doHarm harms one replica, or all of their connections, and names what it did.
func doHarm(t *testing.T, pool *pgxpool.Pool, random *rand.Rand, r *harm.Process, again func()) string {
	t.Helper()
	switch random.IntN(3) {
	case 0:
		_ = r.Signal(syscall.SIGKILL)
		r.Wait()
		again()
		return "kills"
	case 1:
		_ = r.Signal(syscall.SIGSTOP)
		time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
		_ = r.Signal(syscall.SIGCONT)
		return "freezes"
	}
	_, err := pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = $1 AND random() < 0.5`, claimsAppName)
	must(t, err)
	return "cuts"
}

// awaitClaims waits until the replicas have begun to hand out, so that the harm meets claims.
func awaitClaims(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for n := 0; n == 0; time.Sleep(20 * time.Millisecond) {
		must(t, pool.QueryRow(ctx, `SELECT count(*) FROM handouts`).Scan(&n))
	}
}

func checkClaims(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for law, query := range claimLaws {
		if found := texts(t, pool, query); len(found) > 0 {
			t.Fatalf("%s: %v", law, found)
		}
	}
}

func texts(t *testing.T, pool *pgxpool.Pool, query string) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), query)
	must(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return found
}

// finishClaims runs one more plane, which claims with every key that was under way, gives back what it gets, and comes to rest.
func finishClaims(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), claimsAtRestIn)
	defer cancel()
	plane, err := claimPlane(pool, claimReplicas)
	must(t, err)
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- plane.Run(running) }()
	var claims sync.WaitGroup
	for i, key := range texts(t, pool, `SELECT key FROM intents WHERE NOT ended ORDER BY key`) {
		claims.Go(func() {
			c := claimer{pool, plane, claimReplicas, i}
			for err := c.use(ctx, key, prewarm.Cold); err != nil; err = c.use(ctx, key, prewarm.Cold) {
				if !harm.Pause(ctx, 50*time.Millisecond) {
					t.Errorf("key %s: %v", key, err)
					return
				}
			}
		})
	}
	claims.Wait()
	awaitRest(ctx, t, pool)
	checkClaims(t, pool)
	stop()
	must(t, <-ended)
}

// awaitRest waits until nothing is left but the members that are to be ready, and their workspaces.
func awaitRest(ctx context.Context, t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	const rest = `
		SELECT m.pool || ' ' || m.state || ' ' || count(*) FROM dormouse.members m WHERE m.state <> 7 GROUP BY m.pool, m.state
		UNION ALL SELECT 'workspaces ' || count(*) FROM dormouse.workspaces WHERE NOT deleted`
	want := []string{fmt.Sprint("go/large 2 ", claimSize), fmt.Sprint("go/small 2 ", claimSize), fmt.Sprint("workspaces ", 2*claimSize)}
	for {
		got := texts(t, pool, rest)
		slices.Sort(got)
		if slices.Equal(got, want) {
			return
		}
		if ctx.Err() != nil || time.Until(deadlineOf(ctx)) < 2*time.Second {
			t.Fatalf("not at rest: %v, want %v\n%v", got, want, texts(t, pool, restless))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// restless shows what is not as it should be in the end: a workspace with its member, its build's job and that job's process.
const restless = `
	SELECT concat_ws(E'\n\t', now(), row_to_json(w), row_to_json(m), row_to_json(j), row_to_json(p)) || E'\n'
	FROM dormouse.workspaces w
	FULL JOIN dormouse.members m ON w.id = m.resource
	LEFT JOIN dormouse.jobs j ON j.id = w.build_id
	LEFT JOIN dormouse.processes p ON p.id = j.process_id
	WHERE m.state NOT IN (2, 7) OR NOT w.deleted AND m.state IS DISTINCT FROM 2`

func deadlineOf(ctx context.Context) time.Time {
	at, _ := ctx.Deadline()
	return at
}
