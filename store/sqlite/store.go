package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/migrate"
	"github.com/dormouse-go/dormouse/store/refusal"
	"github.com/dormouse-go/dormouse/store/wake"
)

// Store keeps workspaces, jobs and events in an SQLite database. It is safe for concurrent use, and several processes may
// have the same file open. It has nothing to close: the pool is the host's.
type Store struct {
	*core
	// host is the transaction of the host that everything happens in, nil for the store itself. See [Store.WithTx].
	host *hostTx
	// events go with each write, in a store that [Store.Recording] returns.
	events []lifecycle.Event
}

// core is what a store shares with those that work in transactions of the host.
type core struct {
	db         *sql.DB
	cfg        Config
	naming     *strings.Replacer
	migrations *migrate.Set

	// checked: the schema was found to be the one this store needs.
	checked atomic.Bool
	// file is known once that was checked.
	file atomic.Pointer[file]
	// writing is held by the transaction that writes. Goroutines wait for it in turn; SQLite's own lock, which only lets
	// one try again from time to time, is left for other processes.
	writing chan struct{}

	texts      sync.Map // a statement as written in this package -> with the names of the tables
	statements sync.Map // a statement as written in this package -> *sql.Stmt
	schedules  schedule.Interner
	templates  templateCache
	lanes      laneCache
	// What the host has refused lately: passed are jobs, passedEvents the numbers of events, passedDeletions workspaces whose deletions cannot be
	// recorded, and passedMembers ready members that cannot be given away.
	passed          refusal.Rows[uuid.UUID]
	passedEvents    refusal.Rows[int64]
	passedDeletions refusal.Rows[uuid.UUID]
	passedMembers   refusal.Rows[poolMember]
	watchers        wake.Watchers
}

var (
	_ store.Store       = (*Store)(nil)
	_ lifecycle.Watcher = (*Store)(nil)
	_ lifecycle.Batcher = (*Store)(nil)
)

// New returns a store over a database, which stays the host's: see [Open] for how to open it well. It touches nothing;
// the first use checks that the tables are there and of the version this store needs. The error names the field of the
// configuration that cannot be used.
func New(db *sql.DB, cfg Config) (*Store, error) {
	if db == nil {
		return nil, fmt.Errorf("new SQLite store: %w", invalid.New("db", nil, "is required"))
	}
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("new SQLite store: %w", err)
	}
	migrations, err := migrationsOf(cfg.Prefix)
	if err != nil {
		return nil, fmt.Errorf("new SQLite store: %w", err)
	}
	return &Store{core: &core{
		db: db, cfg: cfg, naming: naming(cfg.Prefix), migrations: migrations, writing: make(chan struct{}, 1),
		schedules: schedule.Interner{Options: cfg.Schedules},
	}}, nil
}

// naming puts the names of tables and indexes in: {jobs} becomes dormouse_jobs.
func naming(prefix string) *strings.Replacer { return strings.NewReplacer("{", prefix, "}", "") }

func (s *Store) text(statement string) string {
	if text, ok := s.texts.Load(statement); ok {
		return text.(string)
	}
	text := s.naming.Replace(statement)
	s.texts.Store(statement, text)
	return text
}

// prepared returns the statement, prepared for all connections of the pool. It lives as long as the pool.
func (s *Store) prepared(ctx context.Context, statement string) (*sql.Stmt, error) {
	if st, ok := s.statements.Load(statement); ok {
		return st.(*sql.Stmt), nil
	}
	st, err := s.db.PrepareContext(ctx, s.text(statement))
	if err != nil {
		return nil, err
	}
	if first, raced := s.statements.LoadOrStore(statement, st); raced {
		return first.(*sql.Stmt), st.Close()
	}
	return st, nil
}

// rows is what a query is read from: Scan of sql.Rows.
type rows interface{ Scan(dest ...any) error }

// query runs a reading statement of its own and calls each for every row.
func (s *Store) query(ctx context.Context, statement string, each func(rows) error, args ...any) error {
	if s.host != nil {
		t, err := s.host.locking(ctx)
		if err != nil {
			return err
		}
		return t.query(statement, each, args...)
	}
	begun := false
	err := s.patiently(ctx, func() error {
		st, err := s.prepared(ctx, statement)
		if err != nil {
			return err
		}
		err = read(ctx, st, func(r rows) error { begun = true; return each(r) }, args)
		if begun && busy(err) { // who has seen rows must not see them again
			return fmt.Errorf("in the middle of a result: %w: %w", lifecycle.ErrUnavailable, err)
		}
		return err
	})
	return s.ofFile(err)
}

// querying runs a statement that only reads, within a transaction or outside.
type querying func(statement string, each func(rows) error, args ...any) error

func (s *Store) querying(ctx context.Context) querying {
	return func(statement string, each func(rows) error, args ...any) error {
		return s.query(ctx, statement, each, args...)
	}
}

// queryRow reads the only row of a statement; found is false if there is none.
func (s *Store) queryRow(ctx context.Context, statement string, args []any, dest ...any) (found bool, err error) {
	err = s.query(ctx, statement, func(r rows) error {
		found = true
		return r.Scan(dest...)
	}, args...)
	return found, err
}

func read(ctx context.Context, st *sql.Stmt, each func(rows) error, args []any) error {
	r, err := st.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	for r.Next() {
		if err := each(r); err != nil {
			return errors.Join(err, r.Close())
		}
	}
	return errors.Join(r.Err(), r.Close())
}
