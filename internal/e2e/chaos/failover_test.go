package chaos_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/internal/e2e/internal/harm"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// TestFailover switches from a primary to its standby and back, in turn in order and by a crash, while replicas are killed and
// obstacles stand in the way. What was committed is on both servers, so the laws hold on the one that is left.
func TestFailover(t *testing.T) {
	random := harm.Random(t)
	server, err := pgtest.StartOwn(t.Context(), pgtest.Options{Durable: true})
	pgtest.Require(t, err)
	t.Cleanup(func() { _ = server.Close() })
	standby, err := server.Standby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Close() })
	c := &chaos{T: t, server: server, standby: standby, random: random}
	c.fill()
	c.synchronous()
	c.o = order{DSN: c.dsn(), Real: time.Now(), Speed: speed}
	for i := range c.replicas {
		c.start(i)
	}
	t.Cleanup(c.end)
	// As often there as back.
	switches := 2 * max(1, int(*harm.Duration/(40*time.Second)))
	for n := range switches {
		c.hurtFor(*harm.Duration / time.Duration(4*switches))
		c.failOver(n%2 == 1)
	}
	c.hurtFor(*harm.Duration / 8)
	c.obstacles.wg.Wait()
	c.replace()
	last := c.settle()
	check(t, c.pool, last)
	t.Logf("%d switches, %d kills, %d cut connections, %d times locked rows, %d refused rows, %d frozen replicas",
		switches, c.kills, c.cuts, c.obstacles.locked, c.obstacles.refused, c.obstacles.frozen)
}

// hurtFor does harm for a while, but none to the server.
func (c *chaos) hurtFor(d time.Duration) {
	round := time.NewTicker(pace)
	defer round.Stop()
	for range int(d / pace) {
		<-round.C
		switch n := c.random.IntN(1000); {
		case n < 40:
			c.replace()
		case n < 200:
			c.cut()
		case n < 275:
			c.obstruct()
		}
	}
}

// dsn leads to the server, or to the one of the two that takes writes.
func (c *chaos) dsn() string {
	if c.standby == nil {
		return c.server.DSN("")
	}
	return pgtest.Failover(c.server, c.standby)
}

// failOver makes the standby the primary, and the old primary its standby.
func (c *chaos) failOver(crash bool) {
	c.Helper()
	ctx := c.until(time.Now().Add(2 * time.Minute))
	if crash {
		c.must(c.server.Kill(ctx))
	} else {
		// First it refuses writes on the connections that there are, as a server does whose role has changed.
		c.set("default_transaction_read_only", "on")
		time.Sleep(300 * time.Millisecond)
		c.must(c.server.Stop(ctx))
	}
	c.must(c.standby.Promote(ctx))
	c.server, c.standby = c.standby, c.server
	c.must(c.standby.Follow(ctx, c.server))
	c.synchronous()
}

// synchronous has the primary acknowledge no commit that its standby does not have.
func (c *chaos) synchronous() { c.set("synchronous_standby_names", "'*'") }

// set changes a setting of the primary.
func (c *chaos) set(name, value string) {
	c.Helper()
	ctx := c.until(time.Now().Add(2 * time.Minute))
	conn, err := pgx.Connect(ctx, c.server.DSN(""))
	c.must(err)
	defer func() { _ = conn.Close(context.Background()) }()
	for _, text := range []string{`ALTER SYSTEM SET ` + name + ` = ` + value, `SELECT pg_reload_conf()`} {
		_, err := conn.Exec(ctx, text)
		c.must(err)
	}
}
