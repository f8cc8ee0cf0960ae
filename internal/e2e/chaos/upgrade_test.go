package chaos_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/internal/e2e/internal/harm"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// before is the release that a rolling upgrade begins with.
const before = "dcf8e5f"

// TestUpgrade has a replica of the release before work beside new ones, on tables that are already new. It is killed and
// started again, as are the others, and the laws hold.
func TestUpgrade(t *testing.T) {
	old := harm.BuildBefore(t, before, "./internal/e2e/chaos")
	random := harm.Random(t)
	server, err := pgtest.StartOwn(t.Context(), pgtest.Options{})
	pgtest.Require(t, err)
	t.Cleanup(func() { _ = server.Close() })
	c := &chaos{T: t, server: server, random: random, old: old}
	c.fill()
	c.o = order{DSN: server.DSN(""), Real: time.Now(), Speed: speed}
	for i := range c.replicas {
		c.start(i)
	}
	t.Cleanup(c.end)
	for range 8 {
		time.Sleep(time.Second)
		c.replace()
	}
	last := c.settle()
	check(t, c.pool, last)
	var shares int
	c.must(c.pool.QueryRow(t.Context(), `SELECT count(*) FROM dormouse.replicas`).Scan(&shares))
	if shares < replicas {
		t.Errorf("%d replicas have ticked, want at least %d", shares, replicas)
	}
}
