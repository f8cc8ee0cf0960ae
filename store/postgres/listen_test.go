package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// hooks is a pool whose connections do what a test says, and are counted, as their statements are.
type hooks struct {
	before func(context.Context, *pgx.ConnConfig) error
	after  func(context.Context, *pgx.Conn) error
	// made and asked are how many connections were begun, and how many statements sent.
	made, asked atomic.Int64
}

// direct is a way past the pool whose connections are named hooked.
func (h *hooks) direct(t *testing.T, pool *pgxpool.Pool) *pgxpool.Pool {
	t.Helper()
	cfg := pool.Config()
	cfg.ConnConfig.Tracer = h
	cfg.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) error {
		h.made.Add(1)
		c.RuntimeParams["application_name"] = "hooked"
		if h.before != nil {
			return h.before(ctx, c)
		}
		return nil
	}
	if h.after != nil {
		cfg.AfterConnect = h.after
	}
	direct, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(direct.Close)
	return direct
}

func (h *hooks) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	h.asked.Add(1)
	return ctx
}

func (h *hooks) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (h *hooks) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	h.asked.Add(1)
	return ctx
}

func (h *hooks) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (h *hooks) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// hooked waits until so many connections named hooked are there.
func hooked(t *testing.T, pool *pgxpool.Pool, want int) {
	t.Helper()
	for have := -1; have != want; {
		must(t, pool.QueryRow(soon(t), `SELECT count(*) FROM pg_stat_activity, pg_sleep(0.01)
			WHERE datname = current_database() AND application_name = 'hooked'`).Scan(&have))
	}
}

// Connections that listen are made as the host says, and one that the host refuses is not used, nor left behind.
func TestListenersConnectAsTheHostSays(t *testing.T) {
	s, pool := open(t)
	broken := errors.New("no")
	listeners := func(t *testing.T, cfg postgres.Config) map[string]func() error {
		s, err := postgres.New(pool, cfg)
		must(t, err)
		p := newPubsub(t, pool, cfg)
		return map[string]func() error{
			"wakes":   func() error { return s.WatchWakes(soon(t), func() { t.Error("it listens") }) },
			"members": func() error { return s.WatchMembers(soon(t), "p", func(string) { t.Error("it listens") }) },
			"jobs":    func() error { return p.Listen(soon(t), failingListener{t}) },
			"publish": func() error { return p.Publish(soon(t), "x") },
			"heartbeat": func() error {
				_, err := p.Heartbeat(soon(t), queue.Heartbeat{Process: uuid.New(), Now: epoch})
				return err
			},
		}
	}
	for name, h := range map[string]*hooks{
		"before": {before: func(context.Context, *pgx.ConnConfig) error { return broken }},
		"after":  {after: func(context.Context, *pgx.Conn) error { return broken }},
	} {
		for what, call := range listeners(t, postgres.Config{Direct: h.direct(t, pool)}) {
			h.made.Store(0)
			if err := call(); !errors.Is(err, broken) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			if n := h.made.Load(); n != 1 {
				t.Errorf("%s, %s: %d connections", name, what, n)
			}
		}
	}
	hooked(t, pool, 0)

	// The server refuses, and the connection breaks before it listens.
	h := &hooks{before: func(_ context.Context, c *pgx.ConnConfig) error { c.User = "nobody_of_that_name"; return nil }}
	for what, call := range listeners(t, postgres.Config{Direct: h.direct(t, pool)}) {
		var refused *pgconn.ConnectError
		if err := call(); !errors.As(err, &refused) {
			t.Errorf("unknown role, %s: %v", what, err)
		}
	}
	h = &hooks{after: func(ctx context.Context, c *pgx.Conn) error { return c.Close(ctx) }}
	for what, call := range listeners(t, postgres.Config{Direct: h.direct(t, pool)}) {
		if err := call(); err == nil {
			t.Errorf("closed, %s: no error", what)
		}
	}

	// And one that does as it is told.
	h = &hooks{after: func(ctx context.Context, c *pgx.Conn) error { _, err := c.Exec(ctx, `SELECT 1`); return err }}
	s, err := postgres.New(pool, postgres.Config{Direct: h.direct(t, pool)})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	heard, ended := make(chan string, 10), make(chan error)
	go func() { ended <- s.WatchMembers(ctx, "p", func(note string) { heard <- note }) }()
	<-heard
	hooked(t, pool, 1)
	must(t, s.AnnounceMembers(t.Context(), "other", "of another pool"))
	must(t, s.AnnounceMembers(t.Context(), "p", "a note"))
	if note := <-heard; note != "a note" {
		t.Errorf("heard %q", note)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	hooked(t, pool, 0)
}

// failingListener must hear nothing.
type failingListener struct{ t *testing.T }

func (l failingListener) Message(string) { l.t.Error("it listens") }
func (l failingListener) Gap()           { l.t.Error("it listens") }

// An answer of the store costs no connection, and is asked for once. A connection that was cut, or on which something failed, is replaced
// once; one that was made for the call is not.
func TestPubsubKeepsItsConnection(t *testing.T) {
	s, pool := open(t)
	h := &hooks{}
	p := newPubsub(t, pool, postgres.Config{Direct: h.direct(t, pool)})
	counts := func(what string, connections, asked int64) {
		t.Helper()
		if h.made.Load() != connections || h.asked.Load() != asked {
			t.Errorf("%s: %d connections and %d questions, want %d and %d", what, h.made.Load(), h.asked.Load(), connections, asked)
		}
		hooked(t, pool, int(min(connections, 1)))
	}
	for range 2 {
		must(t, p.Publish(t.Context(), "x"))
	}
	counts("two messages", 1, 2)
	lost := queue.Heartbeat{Process: uuid.New(), Now: epoch}
	_, err := p.Heartbeat(t.Context(), lost)
	must(t, err)
	_, err = s.Reap(t.Context(), queue.ReapRequest{Process: lost.Process, Heartbeats: 1, Now: epoch, Limit: 1})
	must(t, err)
	if _, err := p.Heartbeat(t.Context(), lost); !errors.Is(err, queue.ErrProcessLost) {
		t.Errorf("a heartbeat of a lost process: %v", err)
	}
	counts("an answer", 1, 4)
	cutAll(t, pool)
	must(t, p.Publish(t.Context(), "x"))
	counts("a cut", 2, h.asked.Load())
	var refused *pgconn.PgError
	asked := h.asked.Load()
	if err := p.Publish(t.Context(), strings.Repeat("x", 9000)); !errors.As(err, &refused) {
		t.Errorf("a message that is too long: %v", err)
	}
	if h.made.Load() != 3 || h.asked.Load() != asked+2 {
		t.Errorf("a refusal: %d connections, %d questions", h.made.Load(), h.asked.Load()-asked)
	}
	hooked(t, pool, 0)
	if err := p.Publish(t.Context(), strings.Repeat("x", 9000)); !errors.As(err, &refused) {
		t.Errorf("a message that is too long: %v", err)
	}
	if h.made.Load() != 4 || h.asked.Load() != asked+3 {
		t.Errorf("a refusal of a fresh connection: %d connections, %d questions", h.made.Load(), h.asked.Load()-asked)
	}
	must(t, p.Publish(t.Context(), "x"))
	hooked(t, pool, 1)
	must(t, p.Close(t.Context()))
	hooked(t, pool, 0)
	must(t, p.Close(t.Context()))
	must(t, p.Publish(t.Context(), "x"))
	if h.made.Load() != 6 {
		t.Errorf("%d connections", h.made.Load())
	}
}

// Whoever waits for the connection of another waits no longer than its context.
func TestPubsubWaitsForItsConnection(t *testing.T) {
	pool := pgtest.Pool(t)
	waiting, goes := make(chan struct{}), make(chan struct{})
	h := &hooks{before: func(context.Context, *pgx.ConnConfig) error { waiting <- struct{}{}; <-goes; return nil }}
	p := newPubsub(t, pool, postgres.Config{Direct: h.direct(t, pool)})
	published := make(chan error)
	go func() { published <- p.Publish(t.Context(), "x") }()
	<-waiting
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for what, err := range map[string]error{"Publish": p.Publish(ended, "y"), "Close": p.Close(ended)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
	close(goes)
	must(t, <-published)
}

// What cannot be announced or watched is an error.
func TestMembersCannotBeHeard(t *testing.T) {
	broken := &pgconn.PgError{Code: "58030"}
	fails := false
	s, err := postgres.Faulty(pgtest.Pool(t), quiet, func() error {
		if fails {
			return broken
		}
		return nil
	})
	must(t, err)
	must(t, s.AnnounceMembers(t.Context(), "p", ""))
	fails = true
	if err := s.AnnounceMembers(t.Context(), "p", ""); !errors.Is(err, broken) {
		t.Errorf("announce: %v", err)
	}
	missing := over(t, pgtest.Empty(t))
	if err := missing.WatchMembers(soon(t), "p", func(string) { t.Error("it listens") }); !errors.Is(err, lifecycle.ErrUnavailable) {
		t.Errorf("without tables: %v", err)
	}
}

// A configuration that New refuses is refused everywhere.
func TestConfigIsRefusedEverywhere(t *testing.T) {
	pool := pgtest.Empty(t)
	for name, cfg := range map[string]postgres.Config{
		"schema":    {Schema: "Upper"},
		"schedules": {Schedules: schedule.Options{Zone: "Mars/Base"}},
	} {
		if s, err := postgres.New(pool, cfg); s != nil || !errors.Is(err, invalid.Err) {
			t.Errorf("%s: New returned %v, %v", name, s, err)
		}
		if p, err := postgres.NewPubsub(pool, cfg); p != nil || !errors.Is(err, invalid.Err) {
			t.Errorf("%s: NewPubsub returned %v, %v", name, p, err)
		}
	}
	if files, err := postgres.Migrations("Upper"); files != nil || !errors.Is(err, invalid.Err) {
		t.Errorf("Migrations returned %v, %v", files, err)
	}
}
