package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// recorder writes down what a listener receives; a gap is "GAP".
type recorder chan string

func (r recorder) Message(m string) { r <- m }
func (r recorder) Gap()             { r <- "GAP" }

// expect waits for the next thing received.
func (r recorder) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-r:
		if got != want {
			t.Fatalf("received %.40q, want %.40q", got, want)
		}
	case <-time.After(2 * time.Minute):
		t.Fatalf("received nothing, want %.40q", want)
	}
}

func newPubsub(t *testing.T, pool *pgxpool.Pool, cfg postgres.Config) *postgres.Pubsub {
	t.Helper()
	p, err := postgres.NewPubsub(pool, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// listening starts a listener and waits until it listens.
func listening(t *testing.T, p *postgres.Pubsub) (received recorder, ended chan error) {
	t.Helper()
	received, ended = make(recorder, 100), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- p.Listen(ctx, received) }()
	t.Cleanup(cancel)
	received.expect(t, "GAP")
	return received, ended
}

func TestPubsubDelivers(t *testing.T) {
	pool := pgtest.Empty(t)
	mine, other := newPubsub(t, pool, postgres.Config{}), newPubsub(t, pool, postgres.Config{})
	elsewhere := newPubsub(t, pool, postgres.Config{Schema: "elsewhere"})
	near, _ := listening(t, mine)
	far, _ := listening(t, other)
	apart, _ := listening(t, elsewhere)
	longest := strings.Repeat("ü", queue.MaxMessage/2)
	for _, m := range []string{"one", `quote ' and \`, longest} {
		if err := mine.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		near.expect(t, m)
		far.expect(t, m)
	}
	if err := elsewhere.Publish(t.Context(), "end"); err != nil {
		t.Fatal(err)
	}
	apart.expect(t, "end") // and nothing of the other schema before it
}

func TestPubsubBreaksAndComesBack(t *testing.T) {
	pool := pgtest.Empty(t)
	p := newPubsub(t, pool, postgres.Config{})
	received, ended := listening(t, p)
	if err := p.Publish(t.Context(), "before"); err != nil {
		t.Fatal(err)
	}
	received.expect(t, "before")
	cutAll(t, pool)
	select {
	case err := <-ended:
		if err == nil || errors.Is(err, context.Canceled) {
			t.Fatalf("a listener whose connection broke returned %v, want why", err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("a listener whose connection broke did not return")
	}
	received, _ = listening(t, p) // reports a gap first
	if err := p.Publish(t.Context(), "after"); err != nil {
		t.Fatalf("publish over a connection that was cut: %v", err)
	}
	received.expect(t, "after")
}

// cutAll ends every other connection to the database.
func cutAll(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	const text = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`
	var n int
	if err := pool.QueryRow(t.Context(), text).Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		t.Fatal("there was no connection to cut")
	}
}

func TestPubsubEndsWithItsContext(t *testing.T) {
	pool := pgtest.Empty(t)
	p := newPubsub(t, pool, postgres.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	received, ended := make(recorder, 1), make(chan error, 1)
	go func() { ended <- p.Listen(ctx, received) }()
	received.expect(t, "GAP")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Listen returned %v, want the error of its context", err)
	}
	if err := p.Publish(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("Publish under a context that has ended returned %v", err)
	}
}

// Behind a pooler, connections that listen are made past it, and no others.
func TestDirect(t *testing.T) {
	pooled := pgtest.Empty(t)
	way := pooled.Config()
	way.ConnConfig.RuntimeParams["application_name"] = "direct"
	direct, err := pgxpool.NewWithConfig(t.Context(), way)
	must(t, err)
	t.Cleanup(direct.Close)
	cfg := postgres.Config{Direct: direct}
	s, err := postgres.New(pooled, cfg)
	must(t, err)
	must(t, s.Migrate(t.Context()))

	ctx, cancel := context.WithCancel(t.Context())
	watching, ended := make(chan struct{}, 10), make(chan error, 1)
	go func() { ended <- s.WatchWakes(ctx, func() { watching <- struct{}{} }) }()
	<-watching
	listening(t, newPubsub(t, pooled, cfg))
	var n int
	must(t, pooled.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'direct' AND query LIKE 'LISTEN%'`).Scan(&n))
	if n != 2 {
		t.Errorf("%d of two listeners go past the pooler", n)
	}
	cancel()
	<-ended
}

// Heartbeats do not wait for the host's pool.
func TestHeartbeatNeedsNoPool(t *testing.T) {
	s, pool := open(t)
	pubsub := newPubsub(t, pool, postgres.Config{})
	h := queue.Heartbeat{Process: uuid.New(), Name: "test", Now: time.Now().UTC().Truncate(time.Microsecond)}
	if _, err := pubsub.Heartbeat(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	for range pool.Config().MaxConns {
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release()
	}
	fleet, err := pubsub.Heartbeat(t.Context(), h)
	if err != nil || len(fleet.Processes) != 1 || fleet.Processes[0].Heartbeats != 2 {
		t.Errorf("with a pool that is exhausted: %+v, %v", fleet, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Heartbeat(ctx, h); err == nil {
		t.Error("the pool is not exhausted")
	}
}
