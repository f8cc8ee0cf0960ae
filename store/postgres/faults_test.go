package postgres_test

import (
	"context"
	"log/slog"
	"regexp"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
	"github.com/dormouse-go/dormouse/store/storetest"
)

// TestFaults has every round trip of every call fail, one after the other.
func TestFaults(t *testing.T) {
	pool := pgtest.Pool(t)
	storetest.Faults(t, func(t *testing.T) storetest.Faulty {
		t.Cleanup(func() { exec(t, pool, emptySQL) })
		s, err := postgres.New(pool, postgres.Config{Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		must(t, s.Migrate(context.Background()))
		f := &fault{}
		s = s.Faulty(f.next)
		read := dump(pool)
		return storetest.Faulty{Store: s, Fail: f.fail, Dump: func() string { return tagSet.ReplaceAllString(read(t, s), "") }}
	})
}

// tagSet is a line of a dump with a set of tags. They get their numbers before the jobs that ask for them are stored.
var tagSet = regexp.MustCompile(`(?m)^dormouse\.tag_sets: .*\n`)

// fault is an error at the n-th round trip from now on.
type fault struct {
	mu   sync.Mutex
	left int // 0 for none
	hit  bool
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
	return &pgconn.PgError{Code: "58030", Message: "could not read a block"}
}
