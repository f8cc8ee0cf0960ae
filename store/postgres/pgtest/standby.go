package pgtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Standby starts a server that follows this one by streaming replication and answers reads. It needs pg_basebackup beside the
// server's binaries.
func (s *Server) Standby(ctx context.Context) (*Server, error) {
	if s.dsn != "" {
		return nil, ErrForeign
	}
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	standby := &Server{bin: s.bin, dir: dir, args: s.args, user: s.user}
	if s.user != nil {
		err = os.Chown(dir, int(s.user.Uid), int(s.user.Gid))
	}
	if err == nil {
		err = standby.attachLeash()
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	if err := standby.Follow(ctx, s); err != nil {
		_ = standby.Close()
		return nil, err
	}
	return standby, nil
}

// Follow has a server that was stopped or killed follow another one, with a copy of its data in place of its own, and returns
// when it is connected to it.
func (s *Server) Follow(ctx context.Context, primary *Server) error {
	if s.dsn != "" || primary.dsn != "" {
		return ErrForeign
	}
	if err := os.RemoveAll(s.data()); err != nil {
		return err
	}
	backup := exec.CommandContext(ctx, filepath.Join(s.bin, "pg_basebackup"), "-D", s.data(), "-h", primary.dir, "-p", "5432", "-U", "postgres",
		"-R", "-X", "stream", "-c", "fast", "--no-sync")
	backup.Dir, backup.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.user}
	if out, err := backup.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, out)
	}
	if err := s.Launch(ctx); err != nil {
		return err
	}
	return s.until(ctx, `SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')`)
}

// Promote ends that the server follows another one, and returns when it takes writes. Nothing must write to the other one any
// more.
func (s *Server) Promote(ctx context.Context) error {
	if s.dsn != "" {
		return ErrForeign
	}
	return s.until(ctx, `SELECT pg_promote(true, 60)`)
}

// until waits until a query answers true.
func (s *Server) until(ctx context.Context, query string) error {
	conn, err := pgx.Connect(ctx, s.DSN(""))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for {
		var done bool
		if err := conn.QueryRow(ctx, query).Scan(&done); err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Failover is a connection string for whichever of two servers takes writes.
func Failover(a, b *Server) string {
	return fmt.Sprintf("host=%s,%s port=5432,5432 user=postgres dbname=postgres sslmode=disable target_session_attrs=read-write", a.dir, b.dir)
}
