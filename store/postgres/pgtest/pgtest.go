// Package pgtest gives tests a PostgreSQL of their own: for the store's tests, for those of hosts, and for benchmarks.
//
//	func TestMine(t *testing.T) {
//		pool := pgtest.Pool(t) // a migrated database that nobody else uses
//		s, err := postgres.New(pool, postgres.Config{})
//
// It uses the server that DORMOUSE_TEST_POSTGRES names, a connection string of a role that may create databases. Without
// it, it starts one server for each test binary from the binaries that it finds in PATH or in the usual places, in a
// temporary directory, reachable only through a socket there, and as another user if the test runs as root, because
// PostgreSQL refuses that. The server ends with the test binary, however that ends, and takes its directory along.
//
// If there is neither a server nor binaries, tests are skipped, with a line on standard error; with
// DORMOUSE_TEST_REQUIRE_POSTGRES=1 they fail instead.
package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/store/postgres"
)

// The environment variables that matter.
const (
	EnvDSN     = "DORMOUSE_TEST_POSTGRES"
	EnvRequire = "DORMOUSE_TEST_REQUIRE_POSTGRES"
)

// setupTimeout bounds what is done around a test.
const setupTimeout = 2 * time.Minute

// shared is the server of this test binary, and the name of its migrated template.
var shared struct {
	sync.Mutex
	server   *Server
	err      error
	template string
}

// Pool returns a pool on a database with the store's tables, which nobody else uses and which is dropped after the test.
// It copies a template, which takes a fraction of the time of migrating.
func Pool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	s := Shared(t)
	if s.dsn != "" { // nobody would drop the template
		pool := s.Pool(t, "template0")
		if err := migrate(pool); err != nil {
			t.Fatalf("pgtest: %v", err)
		}
		return pool
	}
	template, err := s.migrated()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return s.Pool(t, template)
}

func migrate(pool *pgxpool.Pool) error {
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	s, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		return err
	}
	return s.Migrate(ctx)
}

// Empty returns a pool on an empty database, which is dropped after the test.
func Empty(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return Shared(t).Pool(t, "template0")
}

// Shared returns the server of this test binary. It skips the test if there can be none.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
		defer cancel()
		shared.server, shared.err = Start(ctx, Options{})
		if shared.err != nil {
			fmt.Fprintf(os.Stderr, "pgtest: NO POSTGRESQL, its tests do not run: %v\n", shared.err)
		}
	}
	Require(t, shared.err)
	return shared.server
}

// Require skips the test if the error says that there is no PostgreSQL, and fails it for every other error, or if
// skipping is forbidden.
func Require(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ErrNotFound) && os.Getenv(EnvRequire) != "1":
		t.Skipf("pgtest: skipped, set %s or install PostgreSQL: %v", EnvDSN, err)
	default:
		t.Fatalf("pgtest: %v", err)
	}
}

// migrated returns the name of a database with the store's tables, made on first use.
func (s *Server) migrated() (string, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.template != "" {
		return shared.template, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	name := "dormouse_template_" + suffix()
	if err := s.CreateDatabase(ctx, name, "template0"); err != nil {
		return "", err
	}
	pool, err := pgxpool.New(ctx, s.DSN(name))
	if err != nil {
		return "", err
	}
	defer pool.Close() // a template must have no connections
	if err := migrate(pool); err != nil {
		return "", err
	}
	shared.template = name
	return name, nil
}

// Pool returns a pool on a new copy of a template, dropped after the test.
func (s *Server) Pool(t testing.TB, template string) *pgxpool.Pool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	name := "dormouse_test_" + suffix()
	if err := s.CreateDatabase(ctx, name, template); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	pool, err := pgxpool.New(ctx, s.DSN(name))
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		pool.Close()
		ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
		defer cancel()
		if err := s.DropDatabase(ctx, name); err != nil {
			t.Logf("pgtest: %v", err)
		}
	})
	return pool
}

// CreateDatabase copies a template; "template0" is the empty one.
func (s *Server) CreateDatabase(ctx context.Context, name, template string) error {
	return s.admin(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE "+pgx.Identifier{template}.Sanitize())
}

// DropDatabase drops a database and the connections to it.
func (s *Server) DropDatabase(ctx context.Context, name string) error {
	return s.admin(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
}

// admin runs a statement in the server's own database.
func (s *Server) admin(ctx context.Context, text string) error {
	conn, err := pgx.Connect(ctx, s.DSN(""))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, text); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return nil
}

func suffix() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}
