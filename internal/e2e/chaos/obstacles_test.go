package chaos_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Obstacles do not kill: they block, refuse and freeze, for a while.

// refusedSchema has the database refuse what concerns the workspaces in a table, as a constraint of the host would.
const refusedSchema = `
	CREATE TABLE chaos.refused (id uuid PRIMARY KEY);
	CREATE FUNCTION chaos.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF EXISTS (SELECT FROM chaos.refused WHERE id = NEW.id) THEN RAISE EXCEPTION 'the host refuses it'; END IF;
		RETURN NEW;
	END $$;
	CREATE TRIGGER refuse BEFORE UPDATE ON dormouse.workspaces FOR EACH ROW EXECUTE FUNCTION chaos.refuse()`

// obstacles are those that stand at the moment; each is taken away by itself.
type obstacles struct {
	wg                                sync.WaitGroup
	locked, refused, frozen, switches int
	deck                              []int
}

// each reports whether something of each kind has been done; the server is switched only where it has no standby.
func (o *obstacles) each() bool { return o.locked > 0 && o.refused > 0 && o.frozen > 0 }

// draw deals out the numbers below n, shuffled, and then again: every kind of obstacle comes soon, whatever the seed.
func (o *obstacles) draw(random *rand.Rand, n int) (card int) {
	if len(o.deck) == 0 {
		o.deck = random.Perm(n)
	}
	card, o.deck = o.deck[0], o.deck[1:]
	return card
}

// obstruct puts one obstacle up.
func (c *chaos) obstruct() {
	d := time.Duration(200+c.random.IntN(1300)) * time.Millisecond
	switch n := c.obstacles.draw(c.random, 8); {
	case n < 3:
		c.lockRows(d)
	case n < 6:
		c.refuseRows(d)
	case n < 7 || c.standby != nil: // which copies the settings of the primary
		c.freeze(d)
	default:
		c.readOnly(d)
	}
}

// later undoes an obstacle. The server may be away at that moment.
func (c *chaos) later(d time.Duration, undo func(ctx context.Context) error) {
	c.obstacles.wg.Go(func() {
		time.Sleep(d)
		for range 200 {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			err := undo(ctx)
			cancel()
			if err == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
}

// own is a connection that nobody cuts by chance; nil while the server is away.
func (c *chaos) own() *pgx.Conn {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.dsn())
	if err != nil {
		return nil
	}
	return conn
}

// lockRows leaves a transaction open that holds the rows of some workspaces.
func (c *chaos) lockRows(d time.Duration) {
	conn := c.own()
	if conn == nil {
		return
	}
	_, err := conn.Exec(context.Background(), `BEGIN; SELECT FROM dormouse.workspaces WHERE id IN (
		SELECT id FROM dormouse.workspaces ORDER BY random() LIMIT 5) FOR UPDATE SKIP LOCKED`)
	if err == nil {
		c.obstacles.locked++
	}
	c.later(d, func(ctx context.Context) error { _ = conn.Close(ctx); return nil })
}

// refuseRows has the database refuse some workspaces.
func (c *chaos) refuseRows(d time.Duration) {
	conn := c.own()
	if conn == nil {
		return
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), `INSERT INTO chaos.refused
		SELECT id FROM dormouse.workspaces ORDER BY random() LIMIT 5 ON CONFLICT DO NOTHING`); err != nil {
		return
	}
	c.obstacles.refused++
	c.later(d, func(ctx context.Context) error {
		_, err := c.pool.Exec(ctx, `DELETE FROM chaos.refused`)
		return err
	})
}

// freeze stops a replica in the middle of whatever it does, without its connections noticing.
func (c *chaos) freeze(d time.Duration) {
	r := c.replicas[c.random.IntN(replicas)]
	if r == nil || r.Signal(syscall.SIGSTOP) != nil {
		return
	}
	c.obstacles.frozen++
	c.later(d, func(context.Context) error { _ = r.Signal(syscall.SIGCONT); return nil })
}

// readOnly has the server take no writes, as an old primary does after a switch of roles, without closing a connection.
func (c *chaos) readOnly(d time.Duration) {
	set := func(ctx context.Context, value string) error {
		conn, err := pgx.Connect(ctx, c.server.DSN(""))
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		for _, text := range []string{
			`SET default_transaction_read_only = off`, `ALTER SYSTEM SET default_transaction_read_only = ` + value, `SELECT pg_reload_conf()`,
		} {
			if _, err := conn.Exec(ctx, text); err != nil {
				return err
			}
		}
		return nil
	}
	if set(context.Background(), "on") == nil {
		c.obstacles.switches++
	}
	c.later(d, func(ctx context.Context) error { return set(ctx, "off") })
}
