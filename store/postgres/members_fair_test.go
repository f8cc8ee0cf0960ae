package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// slowBackend builds one after the other, so that there is time to say who waits.
type slowBackend struct{ tableBackend }

func (b slowBackend) Create(ctx context.Context, m prewarm.Member) (prewarm.Status, error) {
	pauseFor(50 * time.Millisecond)
	return b.tableBackend.Create(ctx, m)
}

// A crowd of one tenant waits at three replicas, then a few of another at one of them. They take turns all the same.
func TestTenantsTakeTurnsAmongReplicas(t *testing.T) {
	const crowd, few = 8, 3
	_, db := open(t)
	exec(t, db, chaosSQL)
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	var replicas []*prewarm.Pool
	var running, claims sync.WaitGroup
	for range 3 {
		s, err := postgres.New(db, postgres.Config{})
		must(t, err)
		p, err := prewarm.New(s, slowBackend{tableBackend{db}}, prewarm.Config{
			Spec:   prewarm.Spec{Name: "fair", Version: "v1", Ceiling: 1, MaxStarting: 1, HitRate: -1, CoolDown: time.Millisecond},
			Logger: slog.New(slog.DiscardHandler),
		})
		must(t, err)
		replicas = append(replicas, p)
		running.Go(func() { must(t, p.Run(ctx)) })
	}
	var mu sync.Mutex
	var order []string
	claim := func(p *prewarm.Pool, tenant string, n int) {
		for i := range n {
			claims.Go(func() {
				h, err := p.Claim(ctx, prewarm.Request{Owner: fmt.Sprint(tenant, i), Tenant: tenant, IfEmpty: prewarm.Wait, MaxWait: 5 * time.Minute})
				if err != nil {
					t.Errorf("claim: %v", err)
					return
				}
				mu.Lock()
				order = append(order, tenant)
				mu.Unlock()
				_ = p.Return(ctx, h.Member.ID)
			})
		}
	}
	for _, p := range replicas {
		claim(p, "crowd", crowd)
	}
	served := func() int { mu.Lock(); defer mu.Unlock(); return len(order) }
	for served() == 0 {
		pauseFor(5 * time.Millisecond)
	}
	begun := served()
	claim(replicas[1], "few", few)
	claims.Wait()
	stop()
	running.Wait()
	last := 0
	for i, tenant := range order {
		if tenant == "few" {
			last = i + 1 - begun
		}
	}
	// Without turns the few come behind all of the crowd. How soon the replicas hear of them is up to the machine.
	if len(order) != 3*crowd+few || last > 5*few {
		t.Errorf("%d served, the last of the few %d after they came: %v", len(order), last, order)
	}
}
