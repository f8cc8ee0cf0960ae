package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dormouse-go/dormouse/lifecycle"
)

const (
	// maxAttempts and the pauses between them, each twice as long as the one before, bound what a call spends on a database that is out
	// of reach to less than a second: a tick shall fail fast, the next one tries again.
	maxAttempts = 6
	firstPause  = 20 * time.Millisecond
	// maxOvertaken is how often a call is made that other transactions overtake, and longestPause the longest pause in between: up to six
	// seconds in all. The database is there, and each time one of those in the way has got through. Where a host has its sessions serializable, a
	// server that is busy refuses many of them.
	maxOvertaken = 14
	longestPause = 32 * firstPause
)

// safety says whether a call may be made again when it is not known whether it took effect.
type safety bool

const (
	// repeatable: the same call again does no harm.
	repeatable safety = true
	// once: only a call that surely had no effect is made again.
	once safety = false
)

// retry calls f until it succeeds, fails for a reason that another attempt will not change, or attempts or ctx end.
func (s *Store) retry(ctx context.Context, again safety, f func(context.Context) error) error {
	if s.host != nil {
		return s.host.try(ctx, f)
	}
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := f(ctx)
		if err == nil {
			return nil
		}
		kind := classify(err)
		s.shed(err)
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		if attempt >= attemptsOf(kind, again) {
			return unavailable(kind, s.readOnly(ctx, err))
		}
		if err := sleep(ctx, pause/2+rand.N(pause/2+1)); err != nil {
			return err
		}
		pause = min(2*pause, longestPause)
	}
}

// attemptsOf is how often a call is made that fails in a way.
func attemptsOf(kind failure, again safety) int {
	switch {
	case kind == overtaken:
		return maxOvertaken
	case kind == conflicted, kind == unreached, kind == dropped && again == repeatable:
		return maxAttempts
	}
	return 1
}

// shed closes the connections of a pool when one of them turns out to lead to a server that only reads: after a switch of
// roles that closed no socket, every one of them does, and each would be tried again and again.
func (s *Store) shed(err error) {
	if isReadOnly(err) {
		s.pool.Reset()
	}
}

func isReadOnly(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "25006"
}

// readOnly says of a write that was refused because the session only reads why that is so: time heals one, and an administrator the
// other.
func (s *Store) readOnly(ctx context.Context, err error) error {
	if !isReadOnly(err) {
		return err
	}
	var standby bool
	var setting, source string
	failed := s.pool.QueryRow(ctx, `SELECT pg_is_in_recovery(), setting, source FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only'`).
		Scan(&standby, &setting, &source)
	switch {
	case failed != nil:
		return err
	case standby:
		return fmt.Errorf("the server is a standby: %w", err)
	case setting == "on":
		return fmt.Errorf("default_transaction_read_only is on for these sessions, set by %s: %w", source, err)
	}
	return err
}

func unavailable(kind failure, err error) error {
	if kind == unreached || kind == dropped {
		return fmt.Errorf("%w: %w", lifecycle.ErrUnavailable, err)
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// failure is a kind of error.
type failure uint8

const (
	// refused: the statement itself is to blame.
	refused failure = iota
	// conflicted: another transaction was in the way for too long; nothing was done.
	conflicted
	// overtaken: another transaction got in between; nothing was done.
	overtaken
	// unreached: the database did not take the statement; nothing was done.
	unreached
	// dropped: the connection broke, and whether the statement took effect is not known.
	dropped
)

func classify(err error) failure {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return classifyCode(pg.Code)
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) || pgconn.SafeToRetry(err) {
		return unreached
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return dropped
	}
	if strings.Contains(err.Error(), "conn closed") { // pgconn has no sentinel for it
		return dropped
	}
	return refused
}

// classifyCode sorts the server's own errors; see "PostgreSQL Error Codes" in its manual.
func classifyCode(code string) failure {
	switch code {
	case "40001", "40P01": // serialization failure, deadlock
		return overtaken
	case "55P03": // lock not available
		return conflicted
	case "57P03", "53300", "25006": // cannot connect now, too many connections, read-only: a standby before its promotion
		return unreached
	case "57P01", "57P02", "57P05": // shutdown, crash of another session, idle session: all of them close the connection
		return dropped
	}
	switch {
	case strings.HasPrefix(code, "08"): // connection exceptions
		return dropped
	case strings.HasPrefix(code, "53"): // no memory, no disk
		return unreached
	}
	return refused
}
