package postgres

import (
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/migrate"
	"github.com/dormouse-go/dormouse/store/refusal"
	"github.com/dormouse-go/dormouse/store/wake"
)

// DefaultSchema is where the tables live unless Config.Schema says otherwise.
const DefaultSchema = "dormouse"

// Config says how a [Store] works. The zero value is ready to use.
type Config struct {
	// Schema is the PostgreSQL schema of the tables; Migrate creates it. Two stores with different schemas share nothing.
	// Lower case letters, digits and underscores, at most 54 of them: the channels of notifications are named after it.
	// Defaults to "dormouse".
	Schema string
	// Schedules are the options of every schedule that the store reads. Default to the policy of package schedule.
	Schedules schedule.Options
	// Direct is a way past a pooler of transactions, for connections that WatchWakes and [Pubsub] make for themselves,
	// because they listen. Only its configuration is used. Defaults to the store's own pool.
	Direct *pgxpool.Pool
	// Logger gets stored events that cannot be read, and changes of which the workspaces hear later. Defaults to slog.Default().
	Logger *slog.Logger
}

// Store implements [store.Store] on PostgreSQL. It is safe for concurrent use, and any number of them, in any number of
// processes, may share a database.
type Store struct {
	*core
	// db is what statements go to: the pool, or within a transaction of the host that.
	db database
	// host is that transaction, nil for the store itself. See [Store.WithTx].
	host *hostTx
	// events go with each write, in a store that [Store.Recording] returns.
	events []lifecycle.Event
}

// core is what a store shares with those that work in transactions of the host.
type core struct {
	pool       pooled
	cfg        Config
	migrations *migrate.Set

	schedules schedule.Interner
	policies  policies
	states    templateStates
	engines   engines
	tags      tagSets
	unused    unused
	low       lowWater
	lastTick  lastTick
	// pageLength is how many workspaces the last page of due ones had: the next one likely has as many.
	pageLength atomic.Int64
	fronts     fronts
	passed     refusal.Rows[key]
	// passedEvents are those of the outbox, by number, passedDeletions workspaces whose deletions cannot be recorded,
	// and passedMembers ready members that cannot be given away.
	passedEvents    refusal.Rows[int64]
	passedDeletions refusal.Rows[key]
	passedMembers   refusal.Rows[poolMember]
	wakes           wake.Watchers
	// endedWithin is defaultEndedWithin outside of tests.
	endedWithin time.Duration
	// usable is set once the schema was seen to have the right version.
	usable atomic.Bool
	// rendered holds each statement with the schema's name in it.
	rendered sync.Map
}

var (
	_ store.Store       = (*Store)(nil)
	_ lifecycle.Sharder = (*Store)(nil)
	_ lifecycle.Watcher = (*Store)(nil)
	_ lifecycle.Batcher = (*Store)(nil)
)

// batchSize is where a commit's own cost, about a millisecond, stops to matter, and its rows are still locked for little
// longer than it takes to sync them.
const batchSize = 200

// BatchSize implements [lifecycle.Batcher].
func (s *Store) BatchSize() int { return batchSize }

// New returns a store in the database of the pool, which stays the host's to close. It does not connect; the first call
// of a method reports a schema that [Store.Migrate] has not brought to the right version.
func New(pool *pgxpool.Pool, cfg Config) (*Store, error) {
	if pool == nil {
		return nil, invalid.New("pool", nil, "is required")
	}
	if err := validMode(pool.Config().ConnConfig.DefaultQueryExecMode); err != nil {
		return nil, fmt.Errorf("new PostgreSQL store: %w", err)
	}
	if cfg.Schema == "" {
		cfg.Schema = DefaultSchema
	}
	if cfg.Direct == nil {
		cfg.Direct = pool
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if err := validSchema(cfg.Schema); err != nil {
		return nil, fmt.Errorf("new PostgreSQL store: %w", err)
	}
	if err := cfg.Schedules.Validate(); err != nil {
		return nil, fmt.Errorf("new PostgreSQL store: %w", err)
	}
	migrations, err := migrationsOf(cfg.Schema)
	if err != nil {
		return nil, fmt.Errorf("new PostgreSQL store: %w", err)
	}
	c := &core{pool: pool, cfg: cfg, migrations: migrations, schedules: schedule.Interner{Options: cfg.Schedules}, endedWithin: defaultEndedWithin}
	return &Store{core: c, db: pool}, nil
}

// validMode refuses the modes in which pgx does not ask the server for the types of a statement, and cannot encode ids and
// lists then; and the one in which it asks and runs the statement in two round trips, between which a pooler of transactions
// may put another server.
func validMode(mode pgx.QueryExecMode) error {
	switch mode {
	case pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeDescribeExec:
		return invalid.New("pool: DefaultQueryExecMode", mode.String(), "must be cache_statement, or behind a pooler of transactions that knows no prepared statements cache_describe")
	}
	return nil
}

// schemaName is what needs no quotes in SQL, and no escaping anywhere else. The server's limit is 63 characters, and that of
// channels too, whose names have up to nine more.
var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,53}$`)

func validSchema(name string) error {
	switch {
	case !schemaName.MatchString(name) || strings.HasPrefix(name, "pg_"):
		return invalid.New("Config.Schema", name, "must be 1 to 54 lower case letters, digits and underscores, not begin with a digit or with pg_")
	case name == "information_schema" || slices.Contains(reservedWords, name):
		return invalid.New("Config.Schema", name, "must not be a word that PostgreSQL keeps for itself")
	}
	return nil
}

// reservedWords are no names without quotes, in any version up to PostgreSQL 18.
var reservedWords = strings.Fields(`
	all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column
	concurrently constraint create cross current_catalog current_date current_role current_schema current_time
	current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze from
	full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit localtime
	localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references returning right
	select session_user similar some symmetric system_user table tablesample then to trailing true union unique user using
	variadic verbose when where window with`)

// sql returns a statement for the store's schema. Statements are written for the default schema, so that they can be read
// and tried as they stand.
func (s *Store) sql(text string) string {
	if s.cfg.Schema == DefaultSchema {
		return text
	}
	if r, ok := s.rendered.Load(text); ok {
		return r.(string)
	}
	r := inSchema(text, s.cfg.Schema)
	s.rendered.Store(text, r)
	return r
}

func inSchema(text, schema string) string {
	return strings.ReplaceAll(text, DefaultSchema+".", schema+".")
}
