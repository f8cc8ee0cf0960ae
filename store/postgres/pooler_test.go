package postgres_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
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
	port := freePort(t)
	dir := t.TempDir()
	ini := fmt.Sprintf(`[databases]
* = host=%s port=%d user=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
max_client_conn = 200
default_pool_size = 8
ignore_startup_parameters = extra_float_digits
`, to.Host, to.Port, to.User, port)
	path := filepath.Join(dir, "pgbouncer.ini")
	must(t, os.WriteFile(path, []byte(ini), 0o644))
	must(t, os.Chmod(dir, 0o755))
	cmd := osexec.Command(binary, "-q", path)
	if os.Geteuid() == 0 { // it refuses root, as the server does
		must(t, os.Chmod(filepath.Dir(dir), 0o755))
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
	cfg.ConnConfig.Host, cfg.ConnConfig.Port = "127.0.0.1", port
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	cfg.ConnConfig.Fallbacks, cfg.ConnConfig.TLSConfig = nil, nil
	cfg.MaxConns = 20
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(pool.Close)
	for range 100 {
		if err = pool.Ping(t.Context()); err == nil {
			return pool
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(out.Name())
	t.Fatalf("no answer from pgbouncer: %v\n%s", errors.Unwrap(err), text)
	return nil
}

func runnable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, err := strconv.ParseUint(port, 10, 16)
	must(t, err)
	return uint16(n)
}
