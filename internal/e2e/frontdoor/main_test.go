package frontdoor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/internal/e2e/internal/harm"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/postgres"
)

func TestMain(m *testing.M) { harm.Main(m, runClaimReplica) }

// claimOrder is what a replica of TestClaimsChaos is told.
type claimOrder struct {
	DSN    string
	Number int
}

// claimPlane is a plane with pools of two presets, over a database that may go away at any time.
func claimPlane(pool *pgxpool.Pool, number int) (*dormouse.Plane, error) {
	s, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		return nil, err
	}
	pubsub, err := postgres.NewPubsub(pool, postgres.Config{})
	if err != nil {
		return nil, err
	}
	tune := func(c *prewarm.Config) {
		c.Spec.HitRate, c.Spec.CoolDown, c.Spec.ReadyTimeout, c.Spec.DestroyTimeout = -1, time.Second, 30*time.Second, 10*time.Second
		c.Spec.Retry = prewarm.Retry{Initial: 100 * time.Millisecond, Max: time.Second}
		c.Interval, c.Relist, c.Poll, c.Timeout = 500*time.Millisecond, 2*time.Second, 100*time.Millisecond, 5*time.Second
	}
	preset := func(name string) dormouse.Pool {
		return dormouse.Pool{Name: "go", Preset: name, TemplateName: "go-dev", Size: claimSize, Ceiling: 4 * claimSize, Tune: tune}
	}
	p, err := dormouse.New(s, dormouse.Config{
		Pubsub: pubsub, Instance: fmt.Sprint("replica ", number), Logger: slog.New(slog.DiscardHandler),
		Build: func(ctx context.Context, b *dormouse.Build) error {
			_, err := pool.Exec(ctx, `INSERT INTO builds VALUES ($1, $2, $3)`, b.Workspace.ID, b.Preset, b.Transition.String())
			if err != nil {
				return dormouse.Retry(50*time.Millisecond, err)
			}
			return nil
		},
		Pools: []dormouse.Pool{preset("small"), preset("large")},
		TuneAcquirer: func(c *acquirer.Config) {
			c.Heartbeat, c.Lease, c.Poll = 300*time.Millisecond, 3*time.Second, 200*time.Millisecond
			c.Lost = map[string]acquirer.LostPolicy{"": acquirer.RequeueLost(1000, 0)}
		},
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		_, err = p.PutTemplate(ctx, dormouse.Template{Name: "go-dev", Policy: dormouse.Policy{AllowUserTTL: true}})
		if err == nil || !harm.Pause(ctx, 50*time.Millisecond) {
			return p, err
		}
	}
}

// runClaimReplica claims and builds until it is killed.
func runClaimReplica(o claimOrder) error {
	cfg, err := pgxpool.ParseConfig(o.DSN)
	if err != nil {
		return err
	}
	cfg.MaxConns, cfg.ConnConfig.RuntimeParams["application_name"] = 8, claimsAppName
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	plane, err := claimPlane(pool, o.Number)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var claimers sync.WaitGroup
	for n := range claimersEach {
		claimers.Go(func() { (&claimer{pool, plane, o.Number, n}).run(ctx) })
	}
	err = plane.Run(ctx)
	stop()
	claimers.Wait()
	return err
}

// claimer claims with one key after the other.
type claimer struct {
	pool       *pgxpool.Pool
	plane      *dormouse.Plane
	replica, n int
}

func (c *claimer) run(ctx context.Context) {
	for ctx.Err() == nil {
		key, err := c.next(ctx)
		if err == nil {
			err = c.use(ctx, key, prewarm.IfEmpty(rand.IntN(3)))
		}
		if err != nil {
			harm.Pause(ctx, 20*time.Millisecond)
		}
	}
}

// next returns the key that the claimer was at before its process was killed, or a new one.
func (c *claimer) next(ctx context.Context) (key string, err error) {
	prefix := fmt.Sprintf("%d-%d-", c.replica, c.n)
	err = c.pool.QueryRow(ctx, `SELECT key FROM intents WHERE starts_with(key, $1) AND NOT ended LIMIT 1`, prefix).Scan(&key)
	if !errors.Is(err, pgx.ErrNoRows) {
		return key, err
	}
	key = prefix + uuid.NewString()
	_, err = c.pool.Exec(ctx, `INSERT INTO intents (key, owner, preset) VALUES ($1, $2, $3)`,
		key, "owner-"+prefix, []string{"small", "large"}[c.n%2])
	return key, err
}

// use claims with a key, writes down what it got, and gives that back.
func (c *claimer) use(ctx context.Context, key string, ifEmpty prewarm.IfEmpty) error {
	var owner, preset string
	if err := c.pool.QueryRow(ctx, `SELECT owner, preset FROM intents WHERE key = $1`, key).Scan(&owner, &preset); err != nil {
		return err
	}
	patience := time.Duration(20+rand.IntN(3000)) * time.Millisecond
	if c.replica == claimReplicas { // the one that clears up leaves nobody
		patience = time.Minute
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	got, err := c.plane.Claim(bounded, dormouse.Claim{
		Pool: "go", Preset: preset, Key: key, Tenant: fmt.Sprint(c.n % 3), IfEmpty: ifEmpty,
		Workspace: dormouse.NewWorkspace{Owner: owner, Name: key},
	})
	cancel()
	switch {
	case errors.Is(err, prewarm.ErrEnded):
		return c.ended(ctx, key)
	case err != nil:
		return err
	}
	_, err = c.pool.Exec(ctx, `INSERT INTO handouts (key, workspace, replica) VALUES ($1, $2, $3)`, key, got.Workspace.ID, c.replica)
	if err != nil {
		return err
	}
	if _, err := c.plane.Delete(ctx, got.Workspace.ID); err != nil {
		return err
	}
	return c.ended(ctx, key)
}

func (c *claimer) ended(ctx context.Context, key string) error {
	_, err := c.pool.Exec(ctx, `UPDATE intents SET ended = true WHERE key = $1`, key)
	return err
}
