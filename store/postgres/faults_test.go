package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
	"github.com/dormouse-go/dormouse/store/storetest"
)

var quiet = postgres.Config{Logger: slog.New(slog.DiscardHandler)}

// TestFaults has every statement of every call fail, one after the other.
func TestFaults(t *testing.T) {
	pool := pgtest.Pool(t)
	storetest.Faults(t, func(t *testing.T) storetest.Faulty {
		t.Cleanup(func() { exec(t, pool, emptySQL) })
		f := &fault{}
		s, err := postgres.Faulty(pool, quiet, f.next)
		must(t, err)
		must(t, s.Migrate(context.Background()))
		read := dump(pool)
		return storetest.Faulty{
			Store: s, Fail: f.fail, Dump: func() string { return tagSet.ReplaceAllString(read(t, s), "") },
			Is: func(err error) bool {
				var pg *pgconn.PgError
				return errors.As(err, &pg) && pg.Code == "58030"
			},
		}
	})
}

// tagSet is a line of a dump with a set of tags. They get their numbers before the jobs that ask for them are stored.
var tagSet = regexp.MustCompile(`(?m)^dormouse\.tag_sets: .*\n`)

// fault is an error at the n-th thing that is asked of the database from now on.
type fault struct {
	mu   sync.Mutex
	left int // 0 for none
	hit  bool
	// as is what it says. The zero value is a disk that fails.
	as pgconn.PgError
}

func (f *fault) fail(n int) (ended func() bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.hit = n, false
	return func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.left = 0
		return f.hit
	}
}

func (f *fault) next() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 {
		return nil
	}
	if f.left--; f.left > 0 {
		return nil
	}
	f.hit = true
	if f.as.Code == "" {
		return &pgconn.PgError{Code: "58030", Message: "could not read a block"}
	}
	return &f.as
}

// Whatever a call has begun when another transaction gets in its way, it makes again, and answers as if nothing had been.
func TestAlikeBesideConflicts(t *testing.T) {
	pool := pgtest.Pool(t)
	storetest.Alike(t, func(t *testing.T) store.Store {
		t.Cleanup(func() { exec(t, pool, emptySQL) })
		s, err := postgres.Faulty(pool, quiet, conflicts(t))
		must(t, err)
		return s
	}, storetest.Options{Like: like, Seed: 100})
}

// conflicts returns errors now and then, and never two for one call, which might give up.
func conflicts(t *testing.T) func() error {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(7, 0))
	left, met := 0, 0
	t.Cleanup(func() {
		if met < 10 {
			t.Errorf("only %d conflicts", met)
		}
	})
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		if left--; left > 0 {
			return nil
		}
		left = 30 + random.IntN(60)
		met++
		return &pgconn.PgError{Code: "40001", Message: "could not serialize access"}
	}
}
