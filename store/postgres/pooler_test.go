package postgres_test

import (
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// TestConformanceBehindAPooler runs the suite through a real PgBouncer that pools transactions. It is skipped where there
// is none, unless DORMOUSE_TEST_REQUIRE_PGBOUNCER is 1.
func TestConformanceBehindAPooler(t *testing.T) {
	direct := pgtest.Pool(t)
	conformWith(t, pooled(t, direct), postgres.Config{Direct: direct}) // who listens goes past it
}

// TestMigrateBehindAPooler leaves no lock behind, whoever migrates next.
func TestMigrateBehindAPooler(t *testing.T) {
	pool := pooled(t, pgtest.Empty(t))
	for range 3 {
		must(t, over(t, pool).Migrate(soon(t)))
	}
	var locks int
	must(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'`).Scan(&locks))
	if locks != 0 {
		t.Errorf("%d advisory locks are left", locks)
	}
}

// poolerPort is part of the name of its socket.
const poolerPort = 6432

// pooled returns a pool of connections to a pooler of transactions before the database of another.
func pooled(t *testing.T, direct *pgxpool.Pool) *pgxpool.Pool {
	t.Helper()
	binary, err := osexec.LookPath("pgbouncer")
	if err != nil {
		if binary = "/usr/sbin/pgbouncer"; !runnable(binary) {
			if os.Getenv("DORMOUSE_TEST_REQUIRE_PGBOUNCER") == "1" {
				t.Fatal("there is no pgbouncer")
			}
			t.Skip("there is no pgbouncer")
		}
	}
	to := direct.Config().ConnConfig
	// A socket of a directory of its own: a port that was free a moment ago may be somebody else's.
	dir, err := os.MkdirTemp("", "pooler") // short: the names of sockets are
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ini := fmt.Sprintf(`[databases]
* = host=%s port=%d user=%s
[pgbouncer]
listen_addr =
listen_port = %d
unix_socket_dir = %s
auth_type = any
pool_mode = transaction
max_client_conn = 200
default_pool_size = 8
ignore_startup_parameters = extra_float_digits
`, to.Host, to.Port, to.User, poolerPort, dir)
	path := filepath.Join(dir, "pgbouncer.ini")
	must(t, os.WriteFile(path, []byte(ini), 0o644))
	must(t, os.Chmod(dir, 0o777))
	cmd := osexec.Command(binary, "-q", path)
	if os.Geteuid() == 0 { // it refuses root, as the server does
		cmd = osexec.Command(binary, "-q", "-u", "postgres", path)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := os.Create(filepath.Join(dir, "log"))
	must(t, err)
	cmd.Stdout, cmd.Stderr = out, out
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = out.Close()
	})
	cfg := direct.Config()
	cfg.ConnConfig.Host, cfg.ConnConfig.Port = dir, poolerPort
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	cfg.ConnConfig.Fallbacks, cfg.ConnConfig.TLSConfig = nil, nil
	cfg.MaxConns = 20
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(pool.Close)
	for ctx := soon(t); ctx.Err() == nil; pauseFor(50 * time.Millisecond) {
		if err = pool.Ping(ctx); err == nil {
			return pool
		}
	}
	text, _ := os.ReadFile(out.Name())
	t.Fatalf("no answer from pgbouncer: %v\n%s", errors.Unwrap(err), text)
	return nil
}

func runnable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}
