package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// closeTimeout bounds the wait for a server that may be gone.
const closeTimeout = 2 * time.Second

// connect opens a connection of its own, made like those of the pool.
func connect(ctx context.Context, pool *pgxpool.Pool) (*pgx.Conn, error) {
	cfg := pool.Config()
	if cfg.BeforeConnect != nil {
		if err := cfg.BeforeConnect(ctx, cfg.ConnConfig); err != nil {
			return nil, err
		}
	}
	conn, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return nil, err
	}
	if cfg.AfterConnect != nil {
		if err := cfg.AfterConnect(ctx, conn); err != nil {
			disconnect(conn)
			return nil, err
		}
	}
	return conn, nil
}

func disconnect(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = conn.Close(ctx) // it is given up either way
}

// listen opens a connection that listens on a channel, calls ready, and hands over what comes until ctx ends or the
// connection breaks. It asks the server for a sign of life whenever nothing came for a while: a connection that a
// firewall has forgotten looks exactly like silence.
func listen(ctx context.Context, pool *pgxpool.Pool, channel string, ready func(), message func(string)) error {
	conn, err := connect(ctx, pool)
	if err != nil {
		return fmt.Errorf("connect to listen on %s: %w", channel, err)
	}
	defer disconnect(conn)
	if _, err := conn.Exec(ctx, `LISTEN `+channel); err != nil {
		return fmt.Errorf("listen on %s: %w", channel, err)
	}
	ready()
	for {
		n, err := wait(ctx, conn)
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("listen on %s: %w", channel, err)
		case n != "":
			message(n)
		}
	}
}

const (
	quietFor    = 20 * time.Second
	pingTimeout = 5 * time.Second
)

// wait returns the next message, or "" after a time without one in which the connection proved to be alive.
func wait(ctx context.Context, conn *pgx.Conn) (string, error) {
	quiet, cancel := context.WithTimeout(ctx, quietFor)
	defer cancel()
	n, err := conn.WaitForNotification(quiet)
	switch {
	case err == nil:
		return n.Payload, nil
	case quiet.Err() == nil:
		return "", err
	}
	ping, done := context.WithTimeout(ctx, pingTimeout)
	defer done()
	return "", conn.Ping(ping)
}
