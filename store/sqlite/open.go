package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"time"
)

// settings are what [Open] sets on every connection.
var settings = []string{
	// First, because the next one may have to wait for a process that opens the same file. It is short: longer waits are
	// the store's, which watches its context meanwhile.
	"PRAGMA busy_timeout = 250",
	// Readers do not wait for the writer, nor it for them.
	"PRAGMA journal_mode = WAL",
	// A commit survives the end of the machine, not only of the process. The default, but some drivers are built with
	// another.
	"PRAGMA synchronous = FULL",
	"PRAGMA foreign_keys = ON",
	// 80 MB instead of 4 between checkpoints: a large tick would else checkpoint at every other commit, and everybody waits
	// for that. It is room for some 20,000 transitions.
	"PRAGMA wal_autocheckpoint = 20000",
	// 16 MB instead of 2: the upper levels of the indexes of a large fleet.
	"PRAGMA cache_size = -16000",
}

const connectTimeout = 10 * time.Second

// Open opens a database with the settings a [Store] works best with, on every connection of the pool and with any
// driver: write-ahead log, durable commits, foreign keys, a short busy timeout. The driver is the name under which it is
// registered, the source is what it understands, usually a path:
//
//	import _ "modernc.org/sqlite"
//	...
//	db, err := sqlite.Open("sqlite", "/var/lib/app/dormouse.db")
//
// A host that opens the database itself should set the same; [New] accepts any pool. How the driver begins
// transactions does not matter: the store takes the write lock at the beginning of its own, and lets one of them write at a
// time. A database in memory belongs to its connection, so its pool must be limited to
// one with SetMaxOpenConns and never let it go.
//
// A file that does not exist yet is made with mode 0600, because it holds payloads, results and logs; SQLite gives the files
// beside it the same mode. One that exists keeps its own.
//
// Nothing is opened before the first use.
func Open(driverName, source string) (*sql.DB, error) {
	// The registry of drivers can only be asked through a pool.
	probe, err := sql.Open(driverName, source)
	if err != nil {
		return nil, fmt.Errorf("open SQLite database: %w", err)
	}
	c := &connector{driver: probe.Driver(), source: source}
	if err := probe.Close(); err != nil {
		return nil, fmt.Errorf("open SQLite database: %w", err)
	}
	if d, ok := c.driver.(driver.DriverContext); ok {
		if c.inner, err = d.OpenConnector(source); err != nil {
			return nil, fmt.Errorf("open SQLite database: %w", err)
		}
	}
	return sql.OpenDB(c), nil
}

// connector opens connections and applies the settings.
type connector struct {
	driver driver.Driver
	source string
	inner  driver.Connector // nil if the driver has none
}

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return c.driver }

// Close closes the driver's connector, if it can be closed.
func (c *connector) Close() error {
	if closer, ok := c.inner.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := c.private(); err != nil {
		return nil, err
	}
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, c.named(err)
	}
	for _, setting := range settings {
		// Processes that make the same file at once meet when they switch it to the write-ahead log, and SQLite lets none
		// of them wait for that.
		err := patiently(ctx, connectTimeout, func() error { return set(ctx, conn, setting) })
		if err != nil {
			return nil, errors.Join(c.named(fmt.Errorf("%s: %w", setting, err)), conn.Close())
		}
	}
	return conn, nil
}

// named adds the path to an error, not the source, which may have a key in it.
func (c *connector) named(err error) error {
	if name := fileOf(c.source); name != "" {
		return fmt.Errorf("open %s: %w", name, err)
	}
	return err
}

func (c *connector) connect(ctx context.Context) (driver.Conn, error) {
	if c.inner != nil {
		return c.inner.Connect(ctx)
	}
	return c.driver.Open(c.source)
}

// set runs a statement on a connection that is not part of a pool yet.
func set(ctx context.Context, conn driver.Conn, statement string) error {
	if e, ok := conn.(driver.ExecerContext); ok {
		if _, err := e.ExecContext(ctx, statement, nil); !errors.Is(err, driver.ErrSkip) {
			return err
		}
	}
	s, err := conn.Prepare(statement)
	if err != nil {
		return err
	}
	_, err = s.Exec(nil) //nolint:staticcheck // what is left to a driver without ExecerContext
	return errors.Join(err, s.Close())
}
