package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/internal/e2e/internal/harm"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

const (
	replicas   = 3
	workspaces = 200
	// speed makes twenty minutes, the period of every schedule, pass in four seconds.
	speed = 300
	// settleTimeout bounds how long the rest may take when nothing is in the way. Much of it is waiting: for the lease of
	// an event whose claimer was killed, and for the silence after which the jobs of a killed worker are given to others.
	settleTimeout = 2 * time.Minute
)

// TestChaos does harm for a while, lets the replicas finish, and holds the laws against the database.
func TestChaos(t *testing.T) {
	random := harm.Random(t)
	server, err := pgtest.StartOwn(t.Context(), pgtest.Options{Durable: true})
	pgtest.Require(t, err)
	t.Cleanup(func() { _ = server.Close() })
	c := &chaos{T: t, server: server, random: random}
	c.fill()
	c.o = order{DSN: server.DSN(""), Real: time.Now(), Speed: speed}
	for i := range c.replicas {
		c.start(i)
	}
	t.Cleanup(c.end)
	c.harm()
	last := c.settle()
	check(t, c.pool, last)
	c.worth()
}

type chaos struct {
	*testing.T
	server   *pgtest.Server
	standby  *pgtest.Server // of the server, nil for none
	pool     *pgxpool.Pool
	random   *rand.Rand
	o        order
	replicas [replicas]*harm.Process

	kills, cuts, restarts int
	obstacles             obstacles
	old                   string // the program of the release before
}

func (c *chaos) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// fill makes workspaces that were stopped at the beginning of the world, each with a minute of its own at which it starts,
// three times an hour. What has started stops five minutes later.
func (c *chaos) fill() {
	ctx := c.Context()
	var err error
	c.pool, err = pgxpool.New(ctx, c.dsn())
	c.must(err)
	c.Cleanup(c.pool.Close)
	s, err := postgres.New(c.pool, postgres.Config{})
	c.must(err)
	c.must(s.Migrate(ctx))
	_, err = c.pool.Exec(ctx, checkSchema)
	c.must(err)
	_, err = c.pool.Exec(ctx, refusedSchema)
	c.must(err)
	t := lifecycle.Template{ID: harm.ID(c.random), OrganizationID: harm.ID(c.random), ActiveVersionID: harm.ID(c.random), Policy: lifecycle.Policy{
		DefaultTTL: 5 * time.Minute, AutostartDays: schedule.AllDays, AllowUserAutostart: true,
	}}
	c.must(s.PutTemplate(ctx, worldBegin, t))
	var changes []lifecycle.Change
	for i := range workspaces {
		if i%20 == 0 { // ten owners: their jobs take turns
			c.must(s.PutOwner(ctx, worldBegin, lifecycle.Owner{ID: owner(i)}))
		}
		changes = append(changes, c.workspace(s, t, i))
	}
	_, err = s.Commit(ctx, worldBegin, changes)
	c.must(err)
}

func owner(i int) uuid.UUID { return uuid.NewSHA1(uuid.Nil, []byte{byte(i / 20)}) }

func (c *chaos) workspace(s *postgres.Store, t lifecycle.Template, i int) lifecycle.Change {
	minute := i % 20
	cron, err := schedule.Weekly(fmt.Sprintf("CRON_TZ=UTC %d,%d,%d * * * *", minute, minute+20, minute+40))
	c.must(err)
	w := lifecycle.Workspace{
		ID: harm.ID(c.random), OrganizationID: t.OrganizationID, OwnerID: owner(i), TemplateID: t.ID, Name: fmt.Sprintf("a=%d", minute),
		CreatedAt: worldBegin, Autostart: cron,
	}
	c.must(s.CreateWorkspaces(c.Context(), worldBegin, w))
	found, err := s.Load(c.Context(), w.ID)
	c.must(err)
	change, err := lifecycle.RequestBuild(lifecycle.TransitionStop, uuid.Nil)(found[0], worldBegin)
	c.must(err)
	change.Build.ID = harm.ID(c.random)
	change.Job = &lifecycle.Job{
		ID: change.Build.ID, OrganizationID: w.OrganizationID, OwnerID: w.OwnerID, WorkspaceID: w.ID, BuildNumber: 1,
		Transition: lifecycle.TransitionStop, CreatedAt: worldBegin,
	}
	return change
}

// start begins a replica. The first is of the release before, if there is one.
func (c *chaos) start(i int) {
	if i == 0 && c.old != "" {
		c.replicas[i] = harm.StartProgram(c.T, c.old, c.o)
		return
	}
	c.replicas[i] = harm.Start(c.T, c.o)
}

// kill ends a replica as a power cut would.
func (c *chaos) kill(i int) {
	if r := c.replicas[i]; r != nil {
		_ = r.Signal(os.Kill)
		r.Wait()
		c.replicas[i] = nil
	}
}

// end is for the case that the test fails in between.
func (c *chaos) end() {
	for i := range c.replicas {
		c.kill(i)
	}
}

// pace is how often harm may be done.
const pace = 50 * time.Millisecond

// harm is done in rounds, so that a seed always does the same. The last thing to happen is that a replica dies: its share
// of the workspaces is nobody's for a while.
func (c *chaos) harm() {
	round := time.NewTicker(pace)
	defer round.Stop()
	rounds := int(*harm.Duration / pace)
	for i := range rounds {
		<-round.C
		c.hurt(i == rounds/2)
	}
	harm.Do(0, func() { <-round.C; c.hurt(false) }, func() bool { return c.obstacles.each() && c.builds() >= enoughBuilds })
	c.obstacles.wg.Wait()
	c.replace()
}

// enoughBuilds is how many builds prove something.
const enoughBuilds = 2 * workspaces

// builds is how many there are; none while the server is away.
func (c *chaos) builds() (n int) {
	_ = c.pool.QueryRow(c.Context(), `SELECT count(*) FROM chaos.every_build`).Scan(&n)
	return n
}

// hurt sometimes kills a replica and starts another, cuts a connection, puts an obstacle up, or, certainly in the middle,
// crashes or restarts the server.
func (c *chaos) hurt(middle bool) {
	switch n := c.random.IntN(2000); {
	case middle, n == 0:
		c.restart()
	case n < 80:
		c.replace()
	case n < 400:
		c.cut()
	case n < 550:
		c.obstruct()
	}
}

func (c *chaos) replace() {
	i := c.random.IntN(replicas)
	c.kill(i)
	c.kills++
	c.start(i)
}

// until is a context that ends at an instant.
func (c *chaos) until(t time.Time) context.Context {
	ctx, cancel := context.WithDeadline(c.Context(), t)
	c.Cleanup(cancel)
	return ctx
}

func (c *chaos) restart() {
	c.restarts++
	c.pool.Reset()
	if c.random.IntN(2) == 0 {
		c.Log("the server crashes")
		c.must(c.server.Kill(c.Context()))
	} else {
		c.Log("the server is restarted")
		c.must(c.server.Stop(c.Context()))
	}
	c.must(c.server.Launch(c.Context()))
	c.pool.Reset()
}

// cut ends one connection in the middle of whatever it does.
func (c *chaos) cut() {
	var n int
	err := c.pool.QueryRow(c.Context(), `SELECT count(pg_terminate_backend(pid)) FROM (
		SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
		ORDER BY state = 'active' DESC, random() LIMIT 1) a`).Scan(&n)
	if err == nil {
		c.cuts += n
	}
}

// calm is the time without harm before time stops. What the engine finds late, it finds late by its own time, which must
// pass for that: the share of a replica that died is looked at by others after some intervals, and what was committed
// long after it was decided when the due index is next read from its beginning, every quarter of an hour.
const calm = 20 * time.Minute

// settle stops the time of the replicas a little later and waits until nothing is due, nothing runs and nothing waits to be
// delivered. It returns the last instant, and ends the replicas. (A world that went on would have such a moment only on a
// machine that is fast enough.)
func (c *chaos) settle() time.Time {
	last := c.o.now().Truncate(time.Minute).Add(calm)
	for _, r := range c.replicas {
		_, err := fmt.Fprintln(r.In, last.Format(time.RFC3339))
		c.must(err)
	}
	const busy = `SELECT (SELECT count(*) FROM dormouse.events) + (SELECT count(*) FROM dormouse.jobs WHERE state < 2)
		+ (SELECT count(*) FROM dormouse.workspaces WHERE wake_at <= $1 OR build_status BETWEEN 1 AND 3)`
	ctx := c.until(time.Now().Add(settleTimeout))
	quiet, done := context.WithCancel(ctx)
	defer done()
	n := -1
	every(quiet, tickEvery, func() {
		// Before the time has come there is nothing to see yet.
		if err := c.pool.QueryRow(ctx, busy, last).Scan(&n); err == nil && n == 0 && !c.o.now().Before(last) {
			done()
		}
	})
	if ctx.Err() != nil {
		c.Errorf("%v without harm, and %d things are still to be done", settleTimeout, n)
	}
	c.end()
	return last
}

// worth sees that the run was worth something.
func (c *chaos) worth() {
	var builds, repeats, requeued int
	err := c.pool.QueryRow(c.Context(), `SELECT (SELECT count(*) FROM chaos.every_build),
		(SELECT count(*) - count(DISTINCT (workspace_id, revision, kind)) FROM chaos.delivered),
		(SELECT count(*) FROM dormouse.jobs WHERE fence > 1)`).Scan(&builds, &repeats, &requeued)
	c.must(err)
	c.Logf("%d builds; %d kills, %d cut connections, %d restarts of the server; %d deliveries repeated, %d jobs handed out again",
		builds, c.kills, c.cuts, c.restarts, repeats, requeued)
	o := &c.obstacles
	c.Logf("obstacles: %d times locked rows, %d refused rows, %d frozen replicas, %d switches to read-only", o.locked, o.refused, o.frozen, o.switches)
	if !o.each() {
		c.Error("nothing stood in the way")
	}
	if builds < enoughBuilds || c.kills == 0 || c.cuts == 0 || c.restarts == 0 {
		c.Error("the run did too little to prove anything")
	}
}
