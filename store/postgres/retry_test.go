package postgres_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// What an error says decides whether the call is made again, with growing pauses, and whether the store was out of reach: a call that can be
// made twice, and one that cannot.
func TestWhatIsTriedAgain(t *testing.T) {
	code := func(code string) error { return &pgconn.PgError{Code: code} }
	type kind struct { // tried again, not to be had in the end, and how often it is tried
		read, change, unavailable bool
		times                     int
	}
	pool := pgtest.Pool(t)
	sound, err := postgres.New(pool, quiet)
	must(t, err)
	f := newFleet(t, sound, 1)
	conflicted, unreached, dropped, refused := kind{true, true, false, 6}, kind{true, true, true, 6}, kind{true, false, true, 6}, kind{}
	overtaken := kind{true, true, false, 14}
	for name, c := range map[string]struct {
		err error
		kind
	}{
		"serialization failure":     {code("40001"), overtaken},
		"deadlock":                  {code("40P01"), overtaken},
		"lock not available":        {code("55P03"), conflicted},
		"cannot connect now":        {code("57P03"), unreached},
		"too many connections":      {code("53300"), unreached},
		"read-only":                 {code("25006"), unreached},
		"disk full":                 {code("53100"), unreached},
		"not connected":             {&pgconn.ConnectError{}, unreached},
		"shutdown":                  {code("57P01"), dropped},
		"crash":                     {code("57P02"), dropped},
		"idle":                      {code("57P05"), dropped},
		"connection failure":        {code("08006"), dropped},
		"end of file":               {io.EOF, dropped},
		"end of file in an answer":  {io.ErrUnexpectedEOF, dropped},
		"closed":                    {net.ErrClosed, dropped},
		"closed by pgconn":          {errors.New("conn closed"), dropped},
		"network":                   {&net.OpError{Op: "read", Err: errors.New("reset")}, dropped},
		"statement that is refused": {code("22012"), refused},
		"anything else":             {errors.New("no"), refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fails, asked := false, 0
			s, err := postgres.Faulty(pool, quiet, func() error {
				if !fails {
					return nil
				}
				asked++
				return c.err
			})
			must(t, err)
			_ = load(t, s, f.ids...) // it looks at the tables once
			fails = true
			for call, again := range map[string]bool{"read": c.read, "put": c.change} {
				asked = 0
				begun := time.Now()
				if call == "read" {
					_, err = s.Load(t.Context(), f.ids...)
				} else {
					_, err = s.PutMembers(t.Context(), &prewarm.PoolState{Pool: "a"}, nil)
				}
				took := time.Since(begun)
				if err == nil || errors.Is(err, lifecycle.ErrUnavailable) != c.unavailable || !c.unavailable && !errors.Is(err, c.err) {
					t.Errorf("%s: error %v, unavailable: %v", call, err, c.unavailable)
				}
				if name == "read-only" {
					asked-- // why that is so
				}
				if again && (asked != c.times || took < 300*time.Millisecond) || !again && asked != 1 {
					t.Errorf("%s: tried %d times in %s, again: %v", call, asked, took, again)
				}
			}
		})
	}
}

// The pauses between attempts double, and are between a half of that and all of it, so that those who failed together do not come back
// together.
func TestPausesBetweenAttempts(t *testing.T) {
	pool := pgtest.Pool(t)
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		s, err := postgres.Faulty(pool, quiet, func() error { // nothing reaches the pool
			at = append(at, time.Now())
			return &pgconn.PgError{Code: "57P03"}
		})
		must(t, err)
		const times = 300
		least, most := make([]float64, 5), make([]float64, 5) // as shares of the longest
		for n := range times {
			at = nil
			if _, err := s.Load(t.Context(), uuid.New()); err == nil || len(at) != 6 {
				t.Fatalf("%v after %d attempts", err, len(at))
			}
			for i, longest := 0, 20*time.Millisecond; i < 5; i, longest = i+1, 2*longest {
				share := at[i+1].Sub(at[i]).Seconds() / longest.Seconds()
				if n == 0 || share < least[i] {
					least[i] = share
				}
				most[i] = max(most[i], share)
			}
		}
		for i := range least {
			if least[i] < 0.5 || least[i] > 0.6 || most[i] > 1 || most[i] < 0.9 {
				t.Errorf("pause %d is between %.2f and %.2f of the longest", i, least[i], most[i])
			}
		}
	})
}

// Whoever has no time left hears that, and of what was in the way.
func TestNoTimeLeftToTryAgain(t *testing.T) {
	conflict := &pgconn.PgError{Code: "40001"}
	fails := false
	ctx, cancel := context.WithCancel(t.Context())
	s, err := postgres.Faulty(pgtest.Pool(t), quiet, func() error {
		if !fails {
			return nil
		}
		cancel()
		return conflict
	})
	must(t, err)
	newFleet(t, s, 1)
	fails = true
	if _, err = s.Load(ctx, uuid.New()); !errors.Is(err, context.Canceled) || !errors.Is(err, conflict) {
		t.Errorf("error %v", err)
	}
}

// A store that has not seen its tables yet says that it could not look at them.
func TestFaultsOfTheFirstLook(t *testing.T) {
	pool := pgtest.Pool(t)
	broken := errors.New("no")
	for n := range 2 {
		asked := 0
		s, err := postgres.Faulty(pool, quiet, func() error {
			if asked++; asked == n+1 {
				return broken
			}
			return nil
		})
		must(t, err)
		if _, err := s.Engine(t.Context()); !errors.Is(err, broken) {
			t.Errorf("fault %d: %v", n, err)
		}
		if _, err := s.Engine(t.Context()); err != nil {
			t.Errorf("after fault %d: %v", n, err)
		}
	}
}

// A migration that fails leaves nothing, and the next one does all of it.
func TestFaultsOfMigrate(t *testing.T) {
	pool := pgtest.Empty(t)
	f := &fault{}
	s, err := postgres.Faulty(pool, quiet, f.next)
	must(t, err)
	for n := 1; ; n++ {
		ended := f.fail(n)
		err := s.Migrate(t.Context())
		hit := ended()
		var schemas int
		must(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_namespace WHERE nspname = 'dormouse'`).Scan(&schemas))
		if !hit {
			must(t, err)
			break
		}
		if err == nil || schemas != 0 {
			t.Fatalf("fault %d: %v, %d schemas", n, err, schemas)
		}
	}
	newFleet(t, s, 1)
}

// A statement that is refused costs no connection.
func TestARefusalKeepsTheConnections(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 1)
	before := pool.Stat().NewConnsCount()
	for range 3 {
		if err := s.DeleteOwner(t.Context(), f.owner.ID); !errors.Is(err, lifecycle.ErrInUse) {
			t.Errorf("error %v", err)
		}
	}
	if n := pool.Stat().NewConnsCount() - before; n != 0 {
		t.Errorf("%d connections were made anew", n)
	}
}
