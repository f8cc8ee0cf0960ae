package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Pubsub is an [queue.Pubsub] over LISTEN and NOTIFY. It sends on a connection of its own and outside of any
// transaction, because a transaction that notifies takes a lock of the whole database at its commit. Heartbeats go over the
// same connection, so that an exhausted pool costs nobody a lease. It is safe for concurrent use; what is sent at once is
// sent one after the other.
type Pubsub struct {
	store   *Store
	pool    *pgxpool.Pool
	channel string
	// sending is held by whoever uses conn.
	sending chan struct{}
	conn    *pgx.Conn
}

var (
	_ queue.Pubsub      = (*Pubsub)(nil)
	_ queue.Heartbeater = (*Pubsub)(nil)
	_ queue.Carrier     = (*Pubsub)(nil)
)

// NewPubsub returns a pubsub between all processes that name the same schema in a database. Its connections are made like those of
// Config.Direct, or else of the pool, but are not of it. It connects when it is used; call [Pubsub.Close] at the end.
//
// A [Store] that was made with the same pool and schema sends messages in its own commits (see [queue.Carrier]), so that the first job
// after a quiet time starts sooner.
func NewPubsub(pool *pgxpool.Pool, cfg Config) (*Pubsub, error) {
	s, err := New(pool, cfg)
	if err != nil {
		return nil, err
	}
	return &Pubsub{store: s, pool: s.cfg.Direct, channel: jobsChannel(s.cfg.Schema), sending: make(chan struct{}, 1)}, nil
}

// notifySQL does not wait until the commit is on disk: a message is a hint about what was committed before, and whoever notifies keeps
// all others who do so waiting until its commit is done.
const notifySQL = `SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`

// Publish implements [queue.Pubsub]. A connection that turns out to be broken is replaced once.
func (p *Pubsub) Publish(ctx context.Context, message string) error {
	err := p.use(ctx, func() error {
		_, err := p.conn.Exec(ctx, notifySQL, p.channel, message)
		return err
	})
	if err != nil {
		return fmt.Errorf("notify %s: %w", p.channel, err)
	}
	return nil
}

// Heartbeat implements [queue.Heartbeater].
func (p *Pubsub) Heartbeat(ctx context.Context, b queue.Heartbeat) (fleet queue.Fleet, err error) {
	if err = p.store.check(ctx); err == nil {
		err = p.store.retry(ctx, repeatable, func(ctx context.Context) error {
			return p.use(ctx, func() error {
				fleet, err = p.store.heartbeatOn(ctx, p.conn, b)
				return err
			})
		})
	}
	return fleet, heartbeatError(b, err)
}

// use calls f with the connection, one caller at a time. A connection that turns out to be broken is replaced once.
func (p *Pubsub) use(ctx context.Context, f func() error) error {
	select {
	case p.sending <- struct{}{}:
		defer func() { <-p.sending }()
	case <-ctx.Done():
		return ctx.Err()
	}
	fresh := p.conn == nil
	err := p.try(ctx, f)
	if err != nil && !fresh && p.conn == nil && ctx.Err() == nil {
		err = p.try(ctx, f)
	}
	return err
}

func (p *Pubsub) try(ctx context.Context, f func() error) (err error) {
	if p.conn == nil {
		if p.conn, err = connect(ctx, p.pool); err != nil {
			return err
		}
	}
	if err = f(); err != nil && !queue.IsAnswer(err) {
		disconnect(p.conn)
		p.conn = nil
	}
	return err
}

// Listen implements [queue.Pubsub].
func (p *Pubsub) Listen(ctx context.Context, l queue.Listener) error {
	return listen(ctx, p.pool, p.channel, l.Gap, l.Message)
}

// Close closes the connection that Publish uses, waiting for a message on its way. Listeners end with their contexts. A
// closed pubsub that is used again connects again.
func (p *Pubsub) Close(ctx context.Context) error {
	select {
	case p.sending <- struct{}{}:
		defer func() { <-p.sending }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if p.conn == nil {
		return nil
	}
	err := p.conn.Close(ctx)
	p.conn = nil
	return err
}
